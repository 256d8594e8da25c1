"""Simpler learners whose out-of-fold estimates the trees build upon."""
