"""Estimates -> choice, with its exact probability."""
