"""Prompt -> estimates: fitted, placed at an operating point, explained, kept in a file."""
