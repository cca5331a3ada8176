"""The frozen model: where it comes from, and what the machine makes of it."""
