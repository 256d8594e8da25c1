"""Prompt files, read, written and looked over."""
