"""Answers as numbers: their shape, whether they hold together, whether they agree."""
