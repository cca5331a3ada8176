"""Templates, and rows as token ids."""
