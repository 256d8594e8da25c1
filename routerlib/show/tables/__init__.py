"""Frames turned into tables for readers."""
