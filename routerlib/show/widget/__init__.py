"""The playground: a thin widget over a plain controller."""
