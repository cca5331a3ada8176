"""Every model type of transformers' auto classes, built tiny at random, with prompts at every site."""
