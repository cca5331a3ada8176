"""What others wrap around a transformers model: PEFT's wrapper is looked through, those that work per call are refused.

PEFT puts its layers into the model itself, and its wrapper hands calls on, so the model with these layers is the
backbone: whichever adapters are active, merged or switched off, it answers as the wrapper does. PEFT is never imported
here; who has wrapped a model with it, has.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from torch import nn

from softprompt.errors import SoftPromptError

# Kinds whose wrapper makes something of each call, which its layers alone know nothing of.
_PER_CALL = frozenset({"POLY", "SHADOW", "XLORA"})
# Torch's wrappers, which run copies or pieces of the model that they hold as `module`.
_PARALLEL = frozenset({"DataParallel", "DistributedDataParallel", "FullyShardedDataParallel"})


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside PEFT's wrappers, with the adapters in it; any other model as it is.

    Raises:
        SoftPromptError: what wraps it takes part in calls: a prompt of PEFT, an adapter that is chosen by the call, or
            torch's wrappers for several devices.
    """
    kind = type(model).__name__
    if kind in _PARALLEL and isinstance(inner := getattr(model, "module", None), nn.Module):
        raise SoftPromptError(f"{kind} wraps the model: attach to the {type(inner).__name__} in it (`model.module`)")
    peft = sys.modules.get("peft")
    if peft is None:
        return model
    wrappers = (peft.PeftModel, peft.PeftMixedModel, peft.tuners.tuners_utils.BaseTuner)
    while isinstance(model, wrappers):
        _check_kinds(model)
        held = model.model if isinstance(model, wrappers[2]) else model.base_model
        assert isinstance(held, nn.Module)
        model = held
    return model


def _check_kinds(wrapper: nn.Module) -> None:
    """Refuse adapters that do not stand in the model's layers alone."""
    configs = getattr(wrapper, "peft_config", None)
    for config in configs.values() if isinstance(configs, dict) else ():
        kind = str(getattr(config.peft_type, "value", config.peft_type))
        if config.is_prompt_learning:
            raise SoftPromptError(
                f"the model carries a prompt of PEFT's already ({kind}): attach to the model in it "
                "(`model.get_base_model()`); softprompt.load reads the folder that PEFT saves of such a prompt"
            )
        if kind in _PER_CALL or getattr(config, "alora_invocation_tokens", None):
            told = "a LoRA that begins at its invocation tokens" if kind == "LORA" else kind
            raise SoftPromptError(
                f"the model's PEFT adapter ({told}) makes something of each call, where virtual tokens would count as "
                "text: attach to the model in it (`model.get_base_model()`) or to one with a LoRA"
            )


def refuse_adapter_names(given: Mapping[str, object]) -> None:
    """Refuse a keyword that PEFT's wrapper would have taken, and the model in it would pass over.

    Raises:
        SoftPromptError: rows of a call are to go through adapters of their own.
    """
    if given.get("adapter_names") is not None:
        raise SoftPromptError(
            "adapter_names: all rows of a call go through the adapters that are active: choose them with set_adapter, "
            "and call once for each"
        )
