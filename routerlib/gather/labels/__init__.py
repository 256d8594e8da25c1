"""Which cells are worth asking and judging next."""
