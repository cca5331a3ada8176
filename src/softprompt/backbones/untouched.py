"""Run a model and leave no trace: some exchange modules or buffers when they run, or draw random numbers."""

from __future__ import annotations

import logging
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from softprompt.backbones.compat import BUFFERS, MODULES, PARAMETERS
from softprompt.backbones.resting import device_of

# Buffers beyond this many numbers are masks and tables, which no run changes.
_SMALL = 1 << 20
_PARTS = (PARAMETERS, BUFFERS, MODULES)


@contextmanager
def untouched(body: nn.Module) -> Iterator[None]:
    """Run a body without dropout, gradient or warnings, and give it and every random state back as they were."""
    modules = list(body.modules())
    before = [(module, dict(vars(module)), [dict(vars(module)[part]) for part in _PARTS]) for module in modules]
    buffers = [(one, one.clone()) for one in body.buffers() if one.numel() <= _SMALL and one.device.type != "meta"]
    ours, theirs = random.getstate(), np.random.get_state()
    logger = logging.getLogger("transformers")
    level = logger.level
    device = device_of(body)
    devices = [] if device.type in ("cpu", "meta") else [device]
    kind = {} if not devices else {"device_type": device.type}
    with torch.random.fork_rng(devices, **kind), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        for module in modules:
            if module.training:
                module.training = False
        try:
            yield
        finally:
            logger.setLevel(level)
            for buffer, values in buffers:
                if not torch.equal(buffer, values):
                    buffer.copy_(values)
            for module, own, parts in before:
                _restore(vars(module), own)
                for part, content in zip(_PARTS, parts, strict=True):
                    _restore(vars(module)[part], content)
            random.setstate(ours)
            np.random.set_state(theirs)


def _restore(now: dict[str, object], before: dict[str, object]) -> None:
    """Give a dictionary the very values that it had; what is as it was is left alone."""
    for name in now.keys() - before.keys():
        del now[name]
    for name, value in before.items():
        if now.get(name) is not value:
            now[name] = value
