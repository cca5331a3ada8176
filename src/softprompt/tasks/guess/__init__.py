"""A task guessed from its table alone: which columns are text, which is the label, and how they are asked about."""
