r"""Adafactor as T5X runs it on a prompt: the second moment is not factored, and decay does not follow the rate.

Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", ICML 2018,
<https://arxiv.org/abs/1804.04235>, with what Lester et al.'s code chooses (google-research/prompt-tuning,
configs/models/t5_1_1_prompt.gin and train/optim.py; google-research/t5x, adafactor.py):

    b_t = 1 - t^-0.8                        t = 1, 2, ...
    V_t = b_t V_{t-1} + (1 - b_t) (G_t^2 + 1e-30)
    U_t = G_t / sqrt(V_t),   U_t / max(1, rms(U_t))
    P_t = (1 - w) P_{t-1} - r U_t

transformers' Adafactor keeps of V the means of its rows and columns, and decays by r w.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from transformers.optimization import Adafactor

from softprompt.backbones.compat import AdafactorInside

DECAY = "decay"  # w, in a group of parameters; its `weight_decay` would be multiplied by the rate


class T5XAdafactor(AdafactorInside, Adafactor):
    """Adafactor without factoring."""


def t5x_adafactor(groups: Sequence[dict[str, object]]) -> torch.optim.Optimizer:
    """The optimiser: no relative step, no parameter scaling, no factoring.

    Args:
        groups: of parameters, each with its `lr` r and its `weight_decay` w.
    """
    own = [{**group, "weight_decay": 0.0, DECAY: group["weight_decay"]} for group in groups]
    make: Callable[..., torch.optim.Optimizer] = T5XAdafactor  # whose arguments are untyped
    made = make(own, relative_step=False, scale_parameter=False, warmup_init=False)
    made.register_step_pre_hook(_decay)
    return made


@torch.no_grad()
def _decay(optimizer: torch.optim.Optimizer, *_: object) -> None:
    """Shrink by 1 - w what has a gradient."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None:
                parameter.mul_(1.0 - group[DECAY])
