"""Train a router and choose where it stands, on training prompts only."""
