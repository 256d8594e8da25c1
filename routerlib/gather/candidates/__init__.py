"""Whom one may ask: candidates.yaml, prices, keys, the embedded pool."""
