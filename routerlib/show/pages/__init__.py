"""Self-contained pages that open with no kernel and no network."""
