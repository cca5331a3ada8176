"""A prompt as a model of lm-evaluation-harness (0.4.13), under the name `softprompt`.

The harness's own model for transformers takes an attached model, too, but passes no mask to a causal one, and says
nowhere where the context ends: padding and answers then condition a prompt that reads the text, whose scores move with
the batch size. This one hands both over, so that a request is scored alike in every batch.
"""
