"""Several tasks trained together over one backbone: parts that they share, and parts that each has of its own."""
