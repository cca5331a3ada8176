"""Logits to answers: label words, a mask, a linear head, candidates, free text."""

from softprompt.readouts.base import Batch, Item, Outcome, Readout
from softprompt.readouts.choose import ReadoutOptions, make_readout

__all__ = ["Batch", "Item", "Outcome", "Readout", "ReadoutOptions", "make_readout"]
