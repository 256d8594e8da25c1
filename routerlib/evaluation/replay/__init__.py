"""Years of traffic played from a table of all outcomes."""
