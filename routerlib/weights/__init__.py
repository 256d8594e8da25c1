"""Weights that run here: verified ones in the user's cache, and an embedding for every text."""
