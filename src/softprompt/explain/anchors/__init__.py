"""Attention anchors: what a prompt's virtual tokens attend to, and what attends to them."""
