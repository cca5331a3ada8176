"""Answers to rows, in one batch loop."""
