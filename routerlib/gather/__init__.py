"""Where data comes from: candidates, calls, collection, judges, prompts, imports, labels."""
