"""A small agent with two tools, tasks whose every step can be checked, and their logged steps."""
