"""Adapting a backbone to language modelling before prompts are tuned."""
