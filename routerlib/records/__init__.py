"""What the parts hand to each other: prompts, calls, decisions; canonical JSON, arrays, files."""
