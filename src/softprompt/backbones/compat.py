"""The inside of transformers, torch and accelerate that the library leans on: all of it stands here and nowhere else.

No release promises these names. `tests/backbones/test_compat.py` looks for each one and says which has gone, so that
an upgrade is the work of this file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from inspect import unwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import Sampler, SequentialSampler
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, AttentionMaskInterface
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
)

from softprompt.ranks import hidden, launched

if TYPE_CHECKING:
    from transformers import Cache, Trainer, TrainingArguments
    from transformers.optimization import Adafactor
else:
    # What a sub-class names beside `TrainerInside` and `AdafactorInside`; they take a second to import.
    Trainer = Adafactor = object

__all__ = [
    "ALL_ATTENTION_FUNCTIONS",
    "ALL_MASK_ATTENTION_FUNCTIONS",
    "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES",
    "MODEL_FOR_MASKED_LM_MAPPING_NAMES",
    "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES",
    "AttentionMaskInterface",
    "GradientCheckpointingLayer",
    "TorchDispatchMode",
]

# -- operations --------------------------------------------------------------------------------------------------


SOFTMAX = (torch.ops.aten._softmax, torch.ops.aten.softmax)


class SeesOperations(TorchDispatchMode):
    """Sees what tensors are handed to, in this thread; what it does there stands in `__torch_dispatch__`."""

    def __init__(self) -> None:
        """With types, which the base class has not."""
        super().__init__()  # type: ignore[no-untyped-call]  # their base class has no types


# -- attention ---------------------------------------------------------------------------------------------------

ATTENTION_KEY = "_attn_implementation"  # of a configuration, also in its file
ATTENTION = "_attn_implementation_internal"  # what its setter sets, without its sub-configurations
_TWIN = "softprompt_"


def attention_name(config: object) -> str:
    """The name under which a configuration's attention is registered."""
    return str(getattr(config, ATTENTION_KEY, None))


def twin_name(implementation: str) -> str:
    """The name under which the library registers the twin of an attention, such as `softprompt_sdpa`."""
    return f"{_TWIN}{implementation}"


def untwinned(name: str) -> str:
    """The name of the attention itself, whichever of the two is given."""
    return name.removeprefix(_TWIN)


def looks_attention_up(attention: nn.Module) -> bool:
    """Whether a module's own code looks its function up among those that are registered, which the site can join."""
    kind: Any = type(attention)  # which mypy takes for unhashable, as modules of equal values would be
    found: bool = _looks_up(kind)
    return found


@cache
def _looks_up(kind: type) -> bool:
    functions = (unwrap(one) for own in kind.__mro__ for one in vars(own).values() if callable(one))
    return any("ALL_ATTENTION_FUNCTIONS" in one.__code__.co_names for one in functions if hasattr(one, "__code__"))


def eager_attention(module: nn.Module) -> Callable[..., Any]:
    """Eager attention, which is written in each family's file."""
    function: Callable[..., Any] = sys.modules[type(module).__module__].eager_attention_forward
    return function


# -- checkpoints of activations ----------------------------------------------------------------------------------

CHECKPOINTING, CHECKPOINT = "gradient_checkpointing", "_gradient_checkpointing_func"  # a module's flag and function

# -- generate ----------------------------------------------------------------------------------------------------

CACHES = ("past_key_values", "cache", "cache_params")  # the keyword of a cache: before 5.24, since, of Mamba
PROCESSORS, CRITERIA = "_get_logits_processor", "_get_stopping_criteria"
# These, where `generate` itself makes them, count columns and read no id.
BY_LENGTH = frozenset(
    {
        "MinLengthLogitsProcessor",
        "MinNewTokensLengthLogitsProcessor",
        "ForcedBOSTokenLogitsProcessor",
        "ForcedEOSTokenLogitsProcessor",
        "ExponentialDecayLengthPenalty",
        "SuppressTokensAtBeginLogitsProcessor",
        "MaxLengthCriteria",
        "MaxTimeCriteria",
        "EosTokenCriteria",
        "ConfidenceCriteria",
    }
)


def cache_in(given: Mapping[str, object]) -> Cache | None:
    """The cache among a model's keywords, whatever this release calls it; None where there is none."""
    found = (given[name] for name in CACHES if given.get(name) is not None)
    return cast("Cache | None", next(found, None))


def room_of(cache: Cache) -> int:
    """The columns for which a cache of a fixed size has room; -1 for one that grows."""
    return max((int(getattr(layer, "max_cache_len", -1)) for layer in cache.layers), default=-1)


def length_of(cache: Cache) -> int:
    """How many columns a cache holds; of one that keeps a recurrent state alone 1 where it has one, for none counts."""
    try:
        length: int = cache.get_seq_length()
    except ValueError:
        return int(cache.has_previous_state())
    return length


# -- torch and accelerate ----------------------------------------------------------------------------------------

PARAMETERS, MODULES, BUFFERS = "_parameters", "_modules", "_buffers"  # a module's own, by name
DISPATCHED = "_hf_hook"  # what accelerate gives to a module that it moves inputs for, or fetches weights for
TIED = "all_tied_weights_keys"  # of a model: the names of weights that are another one, and that one's
HOOKS = ("_hooks", "_hooks_with_kwargs", "_hooks_always_called")  # how the names of a module's hooks end
LISTENING = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")  # hooks of its passes
OF_LAST_TEXT = "rope_deltas"  # what Qwen2-VL and its like remember of the text that they generated from last
assert_async = torch._assert_async


def parameters_of(module: nn.Module) -> dict[str, nn.Parameter | None]:
    """A module's own parameters, those that are None among them."""
    return module._parameters


def kept_buffers(module: nn.Module) -> dict[str, Tensor | None]:
    """A module's own buffers, without those that no checkpoint holds."""
    return {name: one for name, one in module._buffers.items() if name not in module._non_persistent_buffers_set}


def children_of(module: nn.Module) -> dict[str, nn.Module | None]:
    """A module's own parts, those that are None among them."""
    return module._modules


class Fetching(Protocol):
    """Accelerate's hook of a module whose weights rest elsewhere between its calls.

    Attributes:
        weights_map: they, by name.
        execution_device: where they are during a call.
    """

    weights_map: Mapping[str, Tensor]
    execution_device: torch.device | str | int


def fetching(module: nn.Module) -> Fetching | None:
    """What fetches a module's own weights for each call; None where they stay where they are."""
    hook = module.__dict__.get(DISPATCHED)
    several = getattr(hook, "hooks", (hook,))
    return next((one for one in several if getattr(one, "weights_map", None) is not None), None)


def is_compiled(model: nn.Module) -> bool:
    """Whether a module is what `torch.compile` made of another."""
    return "_orig_mod" in model._modules


def compiles_calls(module: nn.Module) -> bool:
    """Whether `module.compile` was called, so that its own calls are compiled."""
    return module._compiled_call_impl is not None


# -- Trainer -----------------------------------------------------------------------------------------------------


class TrainerInside(Trainer):
    """The steps inside Trainer that the library takes over, under names of its own; stands before Trainer.

    Attributes:
        in_order: the rows come in the order in which they stand.
        gradient_norm: of the step in hand, once it is computed.
    """

    in_order = False
    gradient_norm: Tensor | float | None = None

    def load_trained(self, folder: Path) -> None:
        """Read what is trained from a checkpoint's folder."""
        raise NotImplementedError

    def load_optimizer(self, folder: Path) -> None:
        """Read the states of the optimiser and of the schedule."""
        raise NotImplementedError

    def load_random(self, folder: Path) -> None:
        """Read the states of random numbers."""
        raise NotImplementedError

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        self.load_trained(Path(resume_from_checkpoint))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            self.load_optimizer(Path(checkpoint))

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            self.load_random(Path(checkpoint))

    def _load_scaler(self, checkpoint: str | None) -> None:
        """Prompts are fp32, so no loss is scaled: there is nothing to load, least of all a pickle."""

    def _prepare_inputs(self, inputs: dict[str, object]) -> dict[str, object]:
        return inputs

    def _get_grad_norm(self, model: nn.Module, grad_norm: Tensor | float | None = None) -> Tensor | float | None:
        self.gradient_norm = super()._get_grad_norm(model, grad_norm=grad_norm)  # type: ignore[no-untyped-call]  # theirs
        return self.gradient_norm

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int] | None:
        rows: Any = self.train_dataset if train_dataset is None else train_dataset
        if not self.in_order:
            return super()._get_train_sampler(train_dataset)
        return SequentialSampler(rows)


@cache
def one_device_arguments() -> Callable[..., TrainingArguments]:
    """Trainer's arguments with a `place`: it would move the model to the first GPU, and spread batches over all."""
    from transformers import TrainingArguments, logging

    @dataclass
    class OneDeviceArguments(TrainingArguments):
        place: str = "cpu"

        @property
        def should_save(self) -> bool:
            return launched().index == 0

        @cached_property
        def _setup_devices(self) -> torch.device:
            # Each rank's Trainer takes itself for the only one; it would say that it wonders about the others.
            before = logging.get_verbosity()
            logging.set_verbosity_error()
            try:
                with hidden():
                    vars(TrainingArguments)["_setup_devices"].func(self)
            finally:
                logging.set_verbosity(before)
            self._n_gpu = min(self._n_gpu, 1)
            device = torch.device(self.place)
            if device.type == "cuda":
                torch.cuda.set_device(device)
            return device

    return OneDeviceArguments


# -- Adafactor ---------------------------------------------------------------------------------------------------


class AdafactorInside(Adafactor):
    """Adafactor that keeps the whole second moment of a table; stands before Adafactor."""

    @staticmethod
    def _get_options(param_group: dict[str, object], param_shape: torch.Size) -> tuple[bool, bool]:
        """Whether the second moment is factored, and whether there is a first one."""
        return False, param_group["beta1"] is not None
