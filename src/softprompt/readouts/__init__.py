"""Logits to answers: label words, a mask, a linear head, candidates, free text.

Every module of this package is read when the package is, so that a new file is all that a new readout needs.
"""

from importlib import import_module
from pkgutil import iter_modules

from softprompt.readouts.base import Batch, Item, Outcome, Readout
from softprompt.readouts.build import build_readout
from softprompt.readouts.choose import make_readout
from softprompt.readouts.context import ReadoutContext
from softprompt.readouts.registry import readout
from softprompt.readouts.spec import ReadoutSpec

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

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
