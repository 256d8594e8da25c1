"""Sentences that are computed instead of typed."""
