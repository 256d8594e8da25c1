"""Verified weights of models that run here, in the user's cache."""
