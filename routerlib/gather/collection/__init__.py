"""Many prompts x candidates, asked live and resumed."""
