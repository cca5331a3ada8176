"""A checkpoint of PEFT (`adapter_config.json` and `adapter_model.safetensors`), read as a prompt of this library.

PEFT 0.21 stores a prompt as it is used, with no encoder beside it:

    PROMPT_TUNING, P_TUNING, CPT    prompt_embeddings (P, E); an encoder-decoder's (2 P, E), of which its code uses the
                                    first P, in front of the encoder's text
    MULTITASK_PROMPT_TUNING         also prefix_task_cols (T, P, r) and prefix_task_rows (T, r, E), T tasks
    PREFIX_TUNING                   prompt_embeddings (P, 2 L K D), seen as (P, 2 L, K, D): a key and a value a layer
    LORA, IA3                       see `peft_adapters`

These are the tables of our Prompt Tuning, P-Tuning, MPT, P-Tuning v2 and Prefix-Tuning, number for number. What PEFT
does with a prompt in some other way than any call here does is refused with that reason.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field
from torch import Tensor

from softprompt.attached.attach import build
from softprompt.backbones.backbone import Backbone
from softprompt.backbones.windows import shortest_window
from softprompt.errors import SoftPromptError
from softprompt.files.documents import plain, read_document
from softprompt.files.forms import TensorForm, read_forms
from softprompt.files.places import ADAPTER
from softprompt.files.tensors import read_tensors
from softprompt.interop.peft_adapters import ADAPTERS, read_adapter
from softprompt.interop.peft_files import PeftConfig, PeftPrompt, check_head, check_tensors, config_of, weights_of
from softprompt.methods.base import Method
from softprompt.methods.mpt import MPT
from softprompt.methods.p_tuning import PTuning
from softprompt.methods.p_tuning_v2 import PTuningV2
from softprompt.methods.prefix_tuning import PrefixTuning
from softprompt.methods.prompt_tuning import PromptTuning
from softprompt.sites.producer import Producer

_TABLE, _COLUMNS, _ROWS = "prompt_embeddings", "prefix_task_cols", "prefix_task_rows"
_HEAD = "base_model."  # names of the model's own weights that were trained along begin so
_PROMPTS = ("PROMPT_TUNING", "P_TUNING", "CPT")
_LOG = logging.getLogger(__name__)


class _Config(PeftConfig):
    """What is read of a prompt's `adapter_config.json`."""

    num_virtual_tokens: int = Field(ge=1)
    num_transformer_submodules: int | None = None
    prefix_projection: bool = False
    encoder_reparameterization_type: Literal["MLP", "LSTM"] = "MLP"
    num_ranks: int = Field(1, ge=1)


def read_peft(folder: Path, backbone: Backbone) -> PeftPrompt:
    """Read a checkpoint of PEFT for a backbone.

    Args:
        folder: with both files.
        backbone: the model that it was trained on, with the head that was trained along, if any.

    Raises:
        SoftPromptError: a file is missing or damaged, it is of a type that no method here has, it fits another model,
            or PEFT does with it what no call here does.
    """
    values = read_document(folder / ADAPTER, "copy it again")
    if values.get("peft_type") in ADAPTERS:
        return read_adapter(folder, values, backbone)
    config = _config(folder / ADAPTER, values)
    path = weights_of(folder)
    _check_use(folder / ADAPTER, config, backbone)
    forms = read_forms(path)
    _check_forms(path, config, forms)
    tensors = read_tensors(path)
    head = {name: tensor for name, tensor in tensors.items() if name.startswith(_HEAD)}
    check_head(path, head, _HEAD, backbone.model)
    count = config.num_virtual_tokens
    names = {_TABLE: "table", _COLUMNS: "columns", _ROWS: "rows"}
    own = {ours: tensors[theirs].float() for theirs, ours in names.items() if theirs in tensors}
    own["table"] = own["table"][:count].clone()
    own |= {name: own[name][0] for name in ("columns", "rows") if name in own}
    method = _method(config)
    window = shortest_window(backbone.anatomy) if config.peft_type == "PREFIX_TUNING" else None
    if window is not None:
        _LOG.warning(
            "%s: a prefix over a sliding window of %d: here it is seen from everywhere, and by PEFT from within the "
            "window alone: the two agree as long as prefix and text are no longer",
            folder,
            window,
        )
    return PeftPrompt(method, _filled(path, method, own, backbone), {"peft": config.told})


def _filled(path: Path, method: Method, tensors: dict[str, Tensor], backbone: Backbone) -> Producer:
    """The method's prompt with these tensors.

    Raises:
        SoftPromptError: they are of other sizes than the backbone's.
    """
    producer = build(backbone, method, blank=True)
    for name, own in producer.stored().items():
        if tensors[name].shape != own.shape:
            raise SoftPromptError(
                f"{path}: a prompt for another backbone (shape {tuple(tensors[name].shape)} there, {tuple(own.shape)} "
                "here): load the model that it was trained on"
            )
    producer.load_stored(tensors)
    return producer.to(backbone.device)


def _config(path: Path, values: Mapping[str, object]) -> _Config:
    kind = values.get("peft_type")
    if isinstance(kind, str) and kind not in (*_PROMPTS, "MULTITASK_PROMPT_TUNING", "PREFIX_TUNING"):
        raise SoftPromptError(
            f"{path}: a checkpoint of PEFT of type {plain(kind)}, which no method here has: apply it to the model with "
            "peft.PeftModel.from_pretrained, and attach prompts over that"
        )
    return config_of(_Config, path, values)


def _check_use(path: Path, config: _Config, backbone: Backbone) -> None:
    """Refuse what PEFT makes of a prompt in some other way than calls here do.

    Raises:
        SoftPromptError: with the way.
    """
    kind, task, prefix = backbone.kind, config.task_type, config.peft_type == "PREFIX_TUNING"
    kinds = {"CAUSAL_LM": ("causal",), "SEQ_2_SEQ_LM": ("encoder-decoder",)}.get(task or "", ("causal", "encoder"))
    why = ""
    if task is None:
        why = "it names no task_type, and PEFT puts such a prompt into no call: save it with the one it was trained for"
    elif kind not in kinds:
        why = f"it was trained for {plain(task)}, and this backbone is of the kind {kind}: give the model it belongs to"
    elif kind == "encoder-decoder" and (prefix or config.peft_type == "MULTITASK_PROMPT_TUNING"):
        what = (
            "keys and values stand in the decoder alone, at distances of their own" if prefix else "rows stand in the"
        )
        what = what if prefix else f"{what} decoder, too"
        why = f"its {what}, where no method here has them: train {'prefix_tuning' if prefix else 'mpt'} anew"
    elif kind == "encoder" and task == "SEQ_CLS" and not prefix:
        why = (
            "PEFT's classifier reads the first virtual token on an encoder, and here it reads the text's first: "
            "train p_tuning_v2 or prompt_tuning anew, or take a prefix"
        )
    if why:
        raise SoftPromptError(f"{path}: a prompt of PEFT ({config.peft_type}) that cannot be used here: {why}")


def _check_forms(path: Path, config: _Config, forms: Mapping[str, TensorForm]) -> None:
    """Make sure that the file holds the tensors of the type, for one task.

    Raises:
        SoftPromptError: see `check_tensors`; or they are those of several tasks.
    """
    count = config.num_virtual_tokens
    shares = 1 if config.peft_type == "PREFIX_TUNING" else config.num_transformer_submodules or 1
    expected: dict[str, tuple[int | None, ...]] = {_TABLE: (count * shares, None)}
    if config.peft_type == "MULTITASK_PROMPT_TUNING":
        expected |= {_COLUMNS: (None, count, config.num_ranks), _ROWS: (None, config.num_ranks, None)}
    check_tensors(path, config.peft_type, expected, forms, _HEAD)
    tasks = forms[_COLUMNS].shape[0] if _COLUMNS in expected else 1
    if tasks != 1 or (_ROWS in expected and forms[_ROWS].shape[0] != 1):
        raise SoftPromptError(
            f"{path}: the prompts of {tasks} tasks, and softprompt.load reads one: leave that one in {_COLUMNS} "
            f"and {_ROWS} (their first axis)"
        )


def _method(config: _Config) -> Method:
    """The method that its tensors are a prompt of."""
    count, encoder = config.num_virtual_tokens, config.encoder_reparameterization_type.lower()
    if config.peft_type == "P_TUNING":
        return PTuning.model_validate({"num_virtual_tokens": count, "encoder": encoder})
    if config.peft_type == "MULTITASK_PROMPT_TUNING":
        return MPT(num_virtual_tokens=count, rank=config.num_ranks)
    if config.peft_type == "PREFIX_TUNING":
        return (
            PrefixTuning(num_virtual_tokens=count) if config.prefix_projection else PTuningV2(num_virtual_tokens=count)
        )
    return PromptTuning(num_virtual_tokens=count)
