"""The default router: boosted trees blended with simpler learners."""
