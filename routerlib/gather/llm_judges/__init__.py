"""Judges that ask a model; their calls are logged and paid for like any other."""
