"""An adapter that lies beside a checkpoint's weights, folded into them where that was asked for (`adapter:NAME`)."""

from __future__ import annotations

from typing import Any

import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel

from softprompt.backbones.source import BackboneSource
from softprompt.errors import SoftPromptError
from softprompt.files.places import ADAPTER, ADAPTER_WEIGHTS

_NAME = "default"
# Given to transformers as the place of adapters, so that it finds none and applies none by itself.
NOWHERE = {"subfolder": "no-adapter"}


def fold_adapter(source: BackboneSource, model: PreTrainedModel) -> PreTrainedModel:
    """The model with the adapter's change added to its weights, and nothing of the adapter left.

    Raises:
        SoftPromptError: PEFT is not there, or the adapter is another model's or of a kind that changes no weights.
    """
    try:
        import peft
    except ImportError:
        raise SoftPromptError(f"backbone {source.name}: adapters need PEFT: pip install 'peft>=0.18'") from None
    found, weights = source.find(ADAPTER), source.find(ADAPTER_WEIGHTS)
    assert found is not None
    assert weights is not None
    config: Any = peft.PeftConfig.from_pretrained(str(found.parent))
    make: Any = peft.PEFT_TYPE_TO_TUNER_MAPPING.get(config.peft_type)
    if make is None or not hasattr(make, "merge_and_unload"):
        raise SoftPromptError(
            f"backbone {source.name}: its adapter ({config.peft_type}) changes no weights: load the model alone"
        )
    with torch.random.fork_rng(devices=[]):  # PEFT draws first values, which are not kept
        adapted = make(model, {_NAME: config}, _NAME)
    values = {name.removeprefix("base_model.model."): value for name, value in load_file(weights).items()}
    told: Any = peft.set_peft_model_state_dict(model, values, _NAME)
    lacking = [name for name in told.missing_keys if make.prefix in name]
    if lacking or told.unexpected_keys:
        one = (*lacking, *told.unexpected_keys)[0]
        raise SoftPromptError(
            f"backbone {source.name}: its adapter is another model's ({one} does not fit): take it away"
        )
    folded: PreTrainedModel = adapted.merge_and_unload(safe_merge=True)
    if hasattr(folded, "peft_config"):
        del folded.peft_config
    return folded.requires_grad_(True)
