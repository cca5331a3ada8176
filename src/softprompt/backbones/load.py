"""Load a frozen model and its tokenizer: from the hub, a folder, a GGUF file, or a package.

Weights come from safetensors or GGUF, never from pickle, and code that a checkpoint brings is never run. Every weight
that the model has must stand in the file: a head that the checkpoint lacks is left off, never drawn at random.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from operator import methodcaller
from pathlib import Path
from typing import Any, TypeAlias, cast

import torch
import transformers
from huggingface_hub.errors import LocalEntryNotFoundError
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    GgufConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from softprompt.backbones.adapter import NOWHERE, fold_adapter
from softprompt.backbones.backbone import Backbone
from softprompt.backbones.checkpoint import check_checkpoint, check_finite, check_sizes
from softprompt.backbones.compat import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
)
from softprompt.backbones.dtype import check_dtype, choose_dtype, name_of
from softprompt.backbones.fingerprint import digests, rounded_from
from softprompt.backbones.in_int8 import use_int8
from softprompt.backbones.pooled import tell_pooling
from softprompt.backbones.source import BackboneSource, caused_by, line, locate
from softprompt.backbones.structure import weight_of
from softprompt.errors import SoftPromptError
from softprompt.progress import notebook
from softprompt.ranks import launched

# A class of transformers that loads a model.
AutoClass: TypeAlias = (
    type[AutoModel]
    | type[AutoModelForCausalLM]
    | type[AutoModelForMaskedLM]
    | type[AutoModelForSeq2SeqLM]
    | type[PreTrainedModel]
)

_LOG = logging.getLogger(__name__)

# Tokens that some vocabularies hold for padding without naming them so.
_PAD_TOKENS = ("<pad>", "[PAD]", "<|pad|>", "<|finetune_right_pad_id|>")


def load_backbone(
    name: str | Path,
    *,
    dtype: str | torch.dtype = "auto",
    device: str | torch.device | None = None,
    head: bool | None = None,
    int8: bool = False,
) -> Backbone:
    """Load a model in evaluation mode, and its tokenizer.

    Args:
        name: `embedded:gemma3-270m`, `embedded:minilm`, a folder, a `.gguf` file, or a name on the hub; with
            `adapter:` before it, the adapter that lies beside the weights is added to them.
        dtype: of the weights: `float32`, `bfloat16`, `float16`, or `auto`, which takes the checkpoint's (float32 for a
            GGUF file) where the device multiplies it at least as fast as float32, else float32; see
            `softprompt.backbones.dtype`. The logger `softprompt` tells which and why, and what a slower one costs.
        device: where to put the model, as `cpu`, `cuda` or `cuda:1`; None takes the first GPU, or the CPU where
            there is none. Of several ranks (torchrun) each takes its own GPU.
        head: True demands a language-model head, False leaves it off, None takes it where the checkpoint has one.
        int8: on a CPU multiply the layers in int8 where that is faster, for answers alone; one more byte a weight.

    Returns:
        The model (a causal, sequence-to-sequence or masked language model, or a body without a head) and its
        tokenizer as one value, which can be taken apart: `model, tokenizer = load_backbone(...)`. The tokenizer has a
        padding token: its own, an unused one, or the end-of-sequence token.

    Raises:
        SoftPromptError: there is no such model to read, it lacks weights, or the type or device cannot be used.

    Example:
        >>> model, tokenizer = sp.load_backbone("embedded:minilm", device="cpu")
        >>> model.config.hidden_size
        384
    """
    asked, target = check_dtype(dtype), _device(device)
    source = locate(str(name))
    with source.reading(), _quiet():
        held = check_checkpoint(source)
        config = AutoConfig.from_pretrained(source.path, trust_remote_code=False, **source.gguf)
        check_sizes(source, config, held)
        tokenizer = _tokenizer(source, config)
        model = _typed(source, config, asked, target, head)
        check_finite(source, model)
        tell_pooling(model, source)
        methodcaller("to", target)(model)
        if int8:
            use_int8(model, target)
        rows = weight_of(model.eval().get_input_embeddings()).shape[0]
    # As the user named it, and not where it lies: prompts and their cards carry the name to other machines.
    model.config.name_or_path = str(name)
    largest = max(tokenizer.get_vocab().values())
    if max(len(tokenizer), largest + 1) > rows:
        told = f"{len(tokenizer)} tokens" if len(tokenizer) > rows else f"the id {largest:,}"
        raise SoftPromptError(
            f"backbone {name}: the tokenizer has {told}, but the model embeds {rows}, and "
            "higher ids are virtual tokens: use the tokenizer that belongs to the model"
        )
    return Backbone(model, tokenizer, str(name))


def _device(name: str | torch.device | None) -> torch.device:
    try:
        device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name is None else name)
        ranks = launched()
        if ranks.count > 1 and device.type == "cuda" and device.index is None:
            device = torch.device("cuda", ranks.local)
        if device.type == "meta":
            raise RuntimeError("it holds no numbers")
        torch.empty(0, device=device)
    except Exception as error:  # torch raises a dozen kinds of them for a device that is not there
        told = " ".join(str(name).split())
        raise SoftPromptError(f"device {told} cannot be used ({line(error)}): choose cpu or cuda") from error
    return device


def _typed(
    source: BackboneSource, config: PreTrainedConfig, asked: str, device: torch.device, head: bool | None
) -> PreTrainedModel:
    """The model in the type that was asked for, or in the best one here; it says which."""
    stored, model = torch.float32 if source.file else config.dtype, None
    if not isinstance(stored, torch.dtype):  # only the weights show it
        model = _model(source, config, "auto", head)
        stored = model.dtype
    choice = choose_dtype(asked, stored, device)
    if choice.why:
        _LOG.log(logging.WARNING if choice.costly else logging.INFO, choice.why)
    if source.adapter or choice.dtype == torch.float16 != stored:
        return _rounded(source, config, stored, choice.dtype, head)
    if model is None or model.dtype != choice.dtype:
        model = _model(source, config, name_of(choice.dtype), head)
    return model


def _rounded(
    source: BackboneSource, config: PreTrainedConfig, stored: torch.dtype, dtype: torch.dtype, head: bool | None
) -> PreTrainedModel:
    """The model in float16, or with an adapter, whose change is added in float32: the same backbone in every type."""
    exact = _model(source, config, "float32" if source.adapter else name_of(stored), head)
    if source.adapter:
        exact = fold_adapter(source, exact)
    if exact.dtype == dtype:
        return exact
    model = _model(source, config, name_of(dtype), head)
    model.load_state_dict(exact.state_dict())
    if dtype == torch.float16:
        rounded_from(digests(exact), digests(model))
    return model


def _model(source: BackboneSource, config: PreTrainedConfig, dtype: str, head: bool | None) -> PreTrainedModel:
    """The model with a head where it shall have one and the checkpoint holds all of it."""
    with_head = None if head is False else _head_class(config)
    missing: set[str] = set()
    if with_head is not None:
        model, missing = _load(with_head, source, config, dtype)
        if not missing:
            return model
    if head:
        detail = f" ({min(missing)} is missing)" if missing else ""
        raise SoftPromptError(
            f"backbone {source.name} has no language-model head{detail}: choose a task with a linear head, "
            "or another model"
        )
    model, missing = _load(_body_class(config), source, config, dtype)
    if missing:
        raise SoftPromptError(
            f"backbone {source.name} lacks {len(missing)} weights that its config.json asks for "
            f"({min(missing)} and so on): the files are incomplete, or the config is another model's"
        )
    body = model.base_model
    assert isinstance(body, PreTrainedModel)
    return body


def _head_class(config: PreTrainedConfig) -> AutoClass | None:
    """The auto class of the checkpoint's language-model head, or None where its name promises none."""
    family, architecture = config.model_type, (config.architectures or [""])[0]
    if config.is_encoder_decoder:
        return AutoModelForSeq2SeqLM if family in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES else None
    if architecture.endswith("EncoderModel"):
        return None
    if family in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        if architecture.endswith(("ForMaskedLM", "ForPreTraining")):
            return AutoModelForMaskedLM
        return AutoModelForCausalLM if architecture.endswith(("LMHeadModel", "ForCausalLM")) else None
    return AutoModelForCausalLM if family in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES else None


def _body_class(config: PreTrainedConfig) -> AutoClass:
    """The checkpoint's own class, which has its weights; AutoModel may add a pooler that the file lacks."""
    own = getattr(transformers, (config.architectures or [""])[0] or "AutoModel", None)
    if config.is_encoder_decoder or not (isinstance(own, type) and issubclass(own, PreTrainedModel)):
        return AutoModel
    return own


def _load(
    auto: AutoClass, source: BackboneSource, config: PreTrainedConfig, dtype: str
) -> tuple[PreTrainedModel, set[str]]:
    """The model, and the names of weights that the checkpoint does not hold."""
    packed = {"quantization_config": GgufConfig(dequantize=True), **source.gguf}
    with _bars_for_terminals():
        loaded = auto.from_pretrained(
            source.path,
            config=config,
            dtype=dtype,
            ignore_mismatched_sizes=True,
            trust_remote_code=False,
            adapter_kwargs=NOWHERE,
            output_loading_info=True,
            **(packed if source.file else {"use_safetensors": True}),
        )
    model, report = cast("tuple[PreTrainedModel, dict[str, list[Any]]]", loaded)
    for key, found, wanted in sorted(report["mismatched_keys"]):
        raise SoftPromptError(
            f"backbone {source.name}: {key} is {tuple(found)} in the file and {tuple(wanted)} by "
            "config.json: the config is another model's"
        )
    return model, set(report["missing_keys"])


@contextmanager
def _bars_for_terminals() -> Iterator[None]:
    """Without transformers' bars in a notebook, where they are lines of errors unless more is installed."""
    bars = transformers.utils.logging
    hidden = notebook() is not None and bars.is_progress_bar_enabled()
    if hidden:
        bars.disable_progress_bar()
    try:
        yield
    finally:
        if hidden:
            bars.enable_progress_bar()


def _tokenizer(source: BackboneSource, config: PreTrainedConfig) -> PreTrainedTokenizerBase:
    lacking = f"backbone {source.name} has no tokenizer that can be read"
    mend = "put tokenizer.json and tokenizer_config.json beside its weights"
    try:
        options: dict[str, str | PreTrainedConfig] = {**source.gguf} or {"config": config}
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            source.path, trust_remote_code=False, **options
        )
    # The tokenizers library raises bare exceptions.
    except Exception as error:
        if caused_by(error, LocalEntryNotFoundError):
            raise
        raise SoftPromptError(f"{lacking} ({line(error)}): {mend}") from error
    # Where its files are missing, some classes make a tokenizer that knows the special tokens alone.
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise SoftPromptError(f"{lacking}: {mend}")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = _padding(source, tokenizer)
    return tokenizer


def _padding(source: BackboneSource, tokenizer: PreTrainedTokenizerBase) -> str:
    vocabulary = tokenizer.get_vocab()
    for token in (*_PAD_TOKENS, tokenizer.eos_token):
        if token in vocabulary:
            return str(token)
    raise SoftPromptError(
        f"backbone {source.name}: its tokenizer has neither a padding nor an end-of-sequence token: "
        "set pad_token in tokenizer_config.json"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' table of missing weights, which `_model` judges itself."""
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        transformers.logging.set_verbosity(before)
