"""Training, on transformers.Trainer."""
