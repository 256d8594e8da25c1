"""Prompt -> named numbers, the learners that are columns of the trees among them."""
