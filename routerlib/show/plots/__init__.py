"""Figures: one message each, the finding as the title."""
