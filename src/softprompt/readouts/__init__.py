"""Logits to answers: label words, a mask, a linear head, candidates, free text."""

from softprompt.readouts.base import Batch, Item, Outcome, Readout
from softprompt.readouts.build import build_readout
from softprompt.readouts.spec import ReadoutSpec

__all__ = ["Batch", "Item", "Outcome", "Readout", "ReadoutSpec", "build_readout"]
