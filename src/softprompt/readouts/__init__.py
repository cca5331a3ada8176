"""Logits to answers: label words, a mask, a linear head, candidates, free text."""

from softprompt.readouts.base import Batch, Item, Outcome, Readout
from softprompt.readouts.build import build_readout
from softprompt.readouts.choose import make_readout
from softprompt.readouts.context import ReadoutContext
from softprompt.readouts.registry import readout
from softprompt.readouts.spec import ReadoutSpec

__all__ = [
    "Batch",
    "Item",
    "Outcome",
    "Readout",
    "ReadoutContext",
    "ReadoutSpec",
    "build_readout",
    "make_readout",
    "readout",
]
