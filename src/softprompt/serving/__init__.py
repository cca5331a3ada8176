"""Many prompts over one frozen model, asked by many at once."""
