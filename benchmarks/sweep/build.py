"""Tiny random models of the types that transformers' auto classes know.

A type's default configuration tells which fields it has. Fields that `sizes.yaml` lists become small, what a type needs
besides stands in `families.yaml`, and where a configuration lists a kind for each layer, every kind comes up.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

HERE = Path(__file__).parent
WORDS = 100
HEADS, KEY_VALUE_HEADS, HEAD_DIM, LAYERS = 4, 2, 8, 3
MOST = 20_000_000  # parameters: a type of more has sizes by names that nobody has listed
CLASSES = 3
# Ids below these words are the tests' special tokens; a family's own (images, masks) stand at the vocabulary's end.
TOKENS = {"pad": 0, "bos": 1, "eos": 2, "decoder_start": 0, "sep": 2, "cls": 1}
OWN_TOKENS = 90
# Bodies that no auto class with a head lists, and that take text.
BODIES = ["dpr", "splinter", "bros", "embedding_gemma2_text", "openai_privacy_filter", "visual_bert"]
BODIES += [f"{name}_text" for name in ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "glm4v")]

AUTO: dict[str, tuple[Any, Mapping[str, object]]] = {
    "causal": (AutoModelForCausalLM, modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES),
    "seq2seq": (AutoModelForSeq2SeqLM, modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES),
    "masked": (AutoModelForMaskedLM, modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES),
    "imagetext": (AutoModelForImageTextToText, modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES),
    "seqcls": (AutoModelForSequenceClassification, modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES),
    "base": (AutoModel, modeling_auto.MODEL_MAPPING_NAMES),
}


class ModelType(NamedTuple):
    """One line of the sweep.

    Attributes:
        kind: the auto class, a key of `AUTO`.
        name: `config.model_type`.
    """

    kind: str
    name: str

    def __str__(self) -> str:
        """As it is asked for."""
        return f"{self.kind}/{self.name}"


@cache
def all_types() -> tuple[ModelType, ...]:
    """Every type under each language model's class, and under one other class where it has none of these."""
    found = [ModelType(kind, name) for kind in ("causal", "seq2seq", "masked") for name in AUTO[kind][1]]
    bodies = [*modeling_auto.MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES, *BODIES]
    others = {"imagetext": AUTO["imagetext"][1], "seqcls": AUTO["seqcls"][1], "base": bodies}
    for kind, names in others.items():
        known = {one.name for one in found}
        found += [ModelType(kind, name) for name in names if name not in known and name in AUTO[kind][1]]
    return tuple(found)


@cache
def _sizes() -> dict[str, int]:
    by_size: dict[int, list[str]] = yaml.safe_load((HERE / "sizes.yaml").read_text(encoding="utf-8"))
    return {name: size for size, names in by_size.items() for name in names}


@cache
def _families() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load((HERE / "families.yaml").read_text(encoding="utf-8"))
    return found


def configuration(asked: ModelType) -> PreTrainedConfig:
    """The tiny configuration of a type."""
    own = _families().get(str(asked), _families().get(asked.name, {}))
    config = _tiny(CONFIG_MAPPING[asked.name], own)
    _fit_sections(config)
    if asked.kind == "causal" and hasattr(config, "is_decoder") and not getattr(config, "is_encoder_decoder", False):
        config.is_decoder = True
    if asked.kind == "seqcls":
        config.num_labels = CLASSES
    return config


def built(asked: ModelType) -> PreTrainedModel:
    """A model of a type in evaluation mode, its weights large enough that a wrong column or position shows.

    Raises:
        ValueError: it is not tiny.
    """
    torch.manual_seed(0)
    model: PreTrainedModel = AUTO[asked.kind][0].from_config(configuration(asked))
    size = sum(one.numel() for one in model.parameters())
    if size > MOST:
        largest = max(model.named_parameters(), key=lambda pair: pair[1].numel())
        raise ValueError(f"{size:,} parameters, most of them in {largest[0]} {tuple(largest[1].shape)}")
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.2)
    return model.float().eval()


def _tiny(kind: type[PreTrainedConfig], own: Mapping[str, Any]) -> PreTrainedConfig:
    """A configuration of a class with `own` in it, which may speak of its parts, too."""
    usual = kind()
    fields = {name: value for name, value in vars(usual).items() if name not in kind.attribute_map}
    made: dict[str, Any] = {}
    free = iter(range(OWN_TOKENS, WORDS))
    for name, value in fields.items():
        if isinstance(value, PreTrainedConfig):
            made[name] = _tiny(type(value), own.get(name, {}))
        elif isinstance(value, int) and not isinstance(value, bool):
            if name in _sizes():
                made[name] = _sizes()[name]
            elif name.endswith(("token_id", "token_index")) and value >= WORDS - 12 and name not in _USUAL_TOKENS:
                made[name] = next(free)
    every = [name for name in ("pad_token_id", "bos_token_id", "eos_token_id") if hasattr(usual, name)]
    made |= {name: token for name, token in _USUAL_TOKENS.items() if name in {*fields, *every}}
    made |= _heads(fields, made)
    made |= _layer_kinds(kind, usual, made)
    made |= {name: value for name, value in own.items() if not isinstance(fields.get(name), PreTrainedConfig)}
    left_out = {"leave_out", *made.pop("leave_out", ())}
    return kind(**{name: value for name, value in made.items() if name not in left_out})


_USUAL_TOKENS = {f"{name}_token_id": token for name, token in TOKENS.items()}


def _heads(fields: Mapping[str, Any], made: Mapping[str, Any]) -> dict[str, int]:
    """Where a configuration leaves these to the number of heads, and where keys and values are compressed."""
    found = {}
    if "num_attention_heads" in fields:
        sizes = {"head_dim": HEAD_DIM, "num_key_value_heads": KEY_VALUE_HEADS}
        found = {name: size for name, size in sizes.items() if name in fields and fields[name] is None}
    compressed = isinstance(fields.get("kv_lora_rank"), int) and "num_key_value_heads" in {**made, **found}
    return {**found, "num_key_value_heads": HEADS} if compressed else found


def _layer_kinds(kind: type[PreTrainedConfig], usual: PreTrainedConfig, made: Mapping[str, Any]) -> dict[str, Any]:
    """As many layers as there are kinds of them, and the kind of each."""
    found: dict[str, Any] = {}
    field = kind.attribute_map.get("layer_types", "layer_types")
    derived = isinstance(getattr(kind, field, None), property)
    listed = None if derived else getattr(usual, "layer_types", None)
    if listed and "num_hidden_layers" in made:
        kinds = list(dict.fromkeys(listed))
        count = max(LAYERS, len(kinds))
        order = (kinds * count)[:count]
        if "full_attention" in kinds and order.count(order[-1]) > 1:
            order[-1] = "full_attention"
        found = {"num_hidden_layers": count, "layer_types": order}
    feed_forwards = getattr(usual, "mlp_layer_types", None)
    if feed_forwards:
        count = found.get("num_hidden_layers", made.get("num_hidden_layers", LAYERS))
        kinds = list(dict.fromkeys(feed_forwards))
        usual_two = set(kinds) <= {"dense", "sparse"}
        found["mlp_layer_types"] = (["dense", *["sparse"] * count] if usual_two else kinds * count)[:count]
    return found


def _fit_sections(config: PreTrainedConfig) -> None:
    """Sections of positions of three axes add up to half of what is rotated of a head."""
    parts = [config, *(value for value in vars(config).values() if isinstance(value, PreTrainedConfig))]
    for part in parts:
        for name in ("rope_parameters", "rope_scaling"):
            told = getattr(part, name, None)
            for rotary in [told, *told.values()] if isinstance(told, dict) else []:
                if isinstance(rotary, dict) and "mrope_section" in rotary:
                    share = rotary.get("partial_rotary_factor", getattr(part, "partial_rotary_factor", 1.0) or 1.0)
                    size = getattr(part, "head_dim", None) or part.hidden_size // part.num_attention_heads
                    half = int(size * share) // 2
                    side = max(1, half // 4)
                    rotary["mrope_section"] = [half - 2 * side, side, side] if half > 2 else [half, 0, 0]
