r"""Frozen root mean square norms (RMSNorm) whose backward pass is written out.

For x in R^H, y = s * x / r with r = sqrt(mean(x^2) + eps) and a frozen scale s, the gradient is, with n = x / r,

    dL/dx = (g' - n * mean(g' * n)) / r,   g' = s * dL/dy

Transformers writes the norm as a chain of six operations, whose backward pass by autograd has a dozen, each over all
states: of a step's usual states they take 1.1 to 1.3 times as long as this on a CPU (`benchmarks/written_out.py`),
and a layer of Gemma 3 has six norms. Of few states nothing is gained. The forward pass stays the model's own, bit for
bit. Our choice; no method's mathematics changes.

Families differ in the scale (Gemma's is 1 + weight), in where it rounds, and in what they call a norm. So a module is
tried once: what it makes of some states has to be this y.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from softprompt.backbones.compat import HOOKS, parameters_of
from softprompt.sites.asking import Beneath, own_class

_EPSILONS = ("variance_epsilon", "eps")
_OFFSETS = (0.0, 1.0)  # s is the weight, or 1 + weight
_NEAR = 1e-5  # of the largest state
_LEAST = 1 << 17  # numbers in the states, below which the model's own chain is as quick
# Of each module that was tried what is added to its weight, or None where its equation is another.
_FOUND: WeakKeyDictionary[nn.Module, float | None] = WeakKeyDictionary()


def norms_of(modules: Iterable[nn.Module]) -> list[nn.Module]:
    """The modules that may be such norms: with one vector of weights and an epsilon, and nothing inside."""
    return [module for module in modules if _epsilon(module) is not None and _has_one_vector(module)]


def normed(module: nn.Module, beneath: Beneath, states: Tensor) -> Tensor:
    """What a norm makes of states `(..., H)`, with its backward pass written out where that is its gradient.

    Args:
        module: of `norms_of`.
        beneath: the module's own call.
        states: its argument.
    """
    weight, eps = parameters_of(module)["weight"], _epsilon(module)
    offset = None if weight is None or eps is None or _is_own(module, weight, states) else _offset(module, weight)
    if weight is None or eps is None or offset is None:
        made: Tensor = beneath(states)
        return made
    return written(states, weight, _Norm(offset, eps, beneath))


def _is_own(module: nn.Module, weight: Tensor, states: Tensor) -> bool:
    """Whether a norm's own chain runs: nothing is gained, its weight trains, or others listen."""
    gains = torch.is_grad_enabled() and states.requires_grad and states.numel() >= _LEAST
    fits = states.shape[-1:] == weight.shape and not weight.requires_grad
    heard = any(value for name, value in vars(module).items() if name.endswith(HOOKS))
    return not gains or not fits or heard or torch.compiler.is_compiling()


def _offset(module: nn.Module, weight: Tensor) -> float | None:
    """What is added to the weight of a norm; None where its equation is another."""
    if module not in _FOUND:
        _FOUND[module] = _tried(module, weight)
    return _FOUND[module]


class _Norm(NamedTuple):
    """A norm: what is added to its weight, epsilon, and its own call."""

    offset: float
    eps: float
    own: Beneath


class _Context(Protocol):
    """What a backward pass knows of its forward pass."""

    norm: _Norm
    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor) -> None:
        """Keep tensors."""


class _Written(torch.autograd.Function):
    @staticmethod
    def forward(states: Tensor, weight: Tensor, norm: _Norm) -> Tensor:
        made: Tensor = norm.own(states)
        return made

    @staticmethod
    def setup_context(ctx: _Context, inputs: tuple[Tensor, Tensor, _Norm], output: Tensor) -> None:
        states, weight, ctx.norm = inputs
        ctx.save_for_backward(states, weight)

    @staticmethod
    def backward(ctx: _Context, gradient: Tensor) -> tuple[Tensor, None, None]:
        (states, weight), norm = ctx.saved_tensors, ctx.norm
        if torch.is_grad_enabled():  # whoever differentiates the gradient gets autograd's
            return torch.autograd.grad(norm.own(states), states, gradient, create_graph=True)[0], None, None
        return gradient_of(states, weight.float() + norm.offset, norm.eps, gradient), None, None


written: Callable[[Tensor, Tensor, _Norm], Tensor] = _Written.apply


def gradient_of(states: Tensor, scale: Tensor, eps: float, gradient: Tensor) -> Tensor:
    """dL/dx of the module's equation, of the states' shape and type; in between it is fp32.

    Args:
        states: x, `(..., H)`.
        scale: s, fp32, `(H,)`.
        eps: epsilon.
        gradient: dL/dy, `(..., H)`.
    """
    size, whole = states.shape[-1], states.float()
    inverse = torch.linalg.vector_norm(whole, dim=-1, keepdim=True).square_().div_(size).add_(eps).rsqrt_()
    scaled, unit = gradient.float() * scale, whole * inverse
    along = torch.linalg.vecdot(scaled, unit)[..., None].div_(size)
    return scaled.sub_(unit.mul_(along)).mul_(inverse).to(states.dtype)


@torch.no_grad()
def _tried(module: nn.Module, weight: Tensor) -> float | None:
    """What is added to the weight of a norm, so that it is the module's equation; None where it is another."""
    states = torch.randn(2, len(weight), generator=torch.Generator().manual_seed(0)).to(weight.device)
    # In fp32, which tells s from 1 + s where weights are large; T5's norm rounds to the type of its weights.
    try:
        output, eps = own_class(module).__call__(module, states), _epsilon(module)
    except Exception:  # torch's LayerNorm without a bias takes no fp32 where its weight is bfloat16; others raise more
        return None
    if eps is None or not isinstance(output, Tensor) or (output.shape, output.dtype) != (states.shape, states.dtype):
        return None
    unit = states * torch.rsqrt(states.square().mean(-1, keepdim=True) + eps)
    for offset in _OFFSETS:
        apart = output - unit * (weight.float() + offset)
        if float(apart.abs().max()) <= _NEAR * float(output.abs().max()):
            return offset
    return None


def _epsilon(module: nn.Module) -> float | None:
    found = next((vars(module)[name] for name in _EPSILONS if name in vars(module)), None)
    return found if isinstance(found, float) else None


def _has_one_vector(module: nn.Module) -> bool:
    own = {name: one for name, one in parameters_of(module).items() if one is not None}
    return list(own) == ["weight"] and own["weight"].ndim == 1 and next(module.children(), None) is None
