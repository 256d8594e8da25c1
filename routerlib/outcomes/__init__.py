"""Prompts x candidate models, and honest ways to divide them."""
