"""The few shapes that transformers' models share: where layers, attentions and positions are found, and sizes."""

from __future__ import annotations

from operator import methodcaller
from typing import Literal, cast

from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from softprompt.backbones.resting import is_sketched
from softprompt.errors import SoftPromptError

_LAYER_LISTS = (
    "layers",
    "h",
    "block",
    "blocks",
    "encoder.layer",
    "encoder.layers",
    "transformer.layer",
    "language_model.layers",
)
_ATTENTION_NAMES = (
    "self_attn",
    "attn",
    "attention.self",
    "attention",
    "layer.0.SelfAttention",
    "self_attention",
)
_CROSS_ATTENTION_NAMES = ("encoder_attn", "layer.1.EncDecAttention")


def dig(module: nn.Module, path: str) -> nn.Module | None:
    """The module at a dotted path, in which a number indexes a list; None where there is none."""
    found: object = module
    for name in path.split("."):
        found = found[int(name)] if name.isdigit() and isinstance(found, nn.ModuleList) else getattr(found, name, None)
        if found is None:
            return None
    return found if isinstance(found, nn.Module) else None


def input_embedding(body: nn.Module) -> nn.Module | None:
    """The module that looks a body's ids up, or None where it has none of its own."""
    try:
        found: object = methodcaller("get_input_embeddings")(body)
    except (AttributeError, NotImplementedError):
        return None
    return found if isinstance(found, nn.Module) and isinstance(found.weight, Tensor) else None


def weight_of(embedding: nn.Module) -> Tensor:
    """The table of an embedding, `(V, E)`."""
    weight = embedding.weight
    assert isinstance(weight, Tensor)
    return weight


def vectors_of(embedded: object) -> Tensor:
    """The vectors among what an embedding gives: I-BERT's gives a scale behind them.

    Raises:
        SoftPromptError: there are none.
    """
    first = embedded[0] if isinstance(embedded, tuple) and embedded else embedded
    if not isinstance(first, Tensor):
        raise SoftPromptError(
            f"the input embedding gives {type(embedded).__name__}, not vectors: choose another backbone"
        )
    return first


def sides_of(model: nn.Module, config: PreTrainedConfig) -> tuple[PreTrainedModel, PreTrainedModel] | None:
    """An encoder and its decoder; None for a model of one side, whose configuration may still speak of two."""
    if not getattr(config, "is_encoder_decoder", False):
        return None
    encoder, decoder = methodcaller("get_encoder")(model), methodcaller("get_decoder")(model)
    return None if any(part is encoder for part in decoder.modules()) else (encoder, decoder)


def body_of(model: nn.Module, config: PreTrainedConfig) -> PreTrainedModel:
    """The smallest module with its own `get_input_embeddings` that holds the layers."""
    body: nn.Module = getattr(model, "base_model", model)
    for name in ("language_model", "encoder", "decoder"):  # a wrapper of several models, one side of two (T5, OPT)
        inner = getattr(body, name, None)
        if not layers_of(body, config) and isinstance(inner, nn.Module):
            body = inner
    return cast("PreTrainedModel", body)  # of whose class a wrapper's part may not be, but not of what is asked of it


def layers_of(body: nn.Module, config: PreTrainedConfig) -> tuple[nn.Module, ...]:
    """The layers of a stack in the order of their calls; none where no known list of them is found."""
    groups = dig(body, "encoder.albert_layer_groups")
    if isinstance(groups, nn.ModuleList):
        return _shared_layers(groups, config)
    for path in _LAYER_LISTS:
        found = dig(body, path)
        if isinstance(found, nn.ModuleList) and len(found):
            return tuple(found)
    return ()


def embedding_and_layers_of(
    body: nn.Module, config: PreTrainedConfig, family: str
) -> tuple[nn.Module, tuple[nn.Module, ...]]:
    """The input embedding of a body and its layers.

    Args:
        body: the module that receives the ids.
        config: of the language model.
        family: of the whole model, by which its reader would be registered.

    Raises:
        SoftPromptError: one of them is not found.
    """
    embedding, layers = input_embedding(body), layers_of(body, config)
    if embedding is None or not layers:
        lacking = "embedding" if embedding is None else "list of layers"
        raise SoftPromptError(
            f"family {family!r} follows no known anatomy (no {lacking} in {type(body).__name__}); "
            "describe it with softprompt.register_anatomy"
        )
    return embedding, layers


def _shared_layers(groups: nn.ModuleList, config: PreTrainedConfig) -> tuple[nn.Module, ...]:
    """ALBERT: each of `num_hidden_layers` calls runs all layers of its group."""
    order: list[nn.Module] = []
    for call in range(config.num_hidden_layers):
        group = groups[int(call / (config.num_hidden_layers / config.num_hidden_groups))]
        order.extend(group.get_submodule("albert_layers").children())
    return tuple(order)


def attention_of(layer: nn.Module, family: str) -> nn.Module:
    """The self-attention of a layer.

    Raises:
        SoftPromptError: none is found by a known name.
    """
    for path in _ATTENTION_NAMES:
        found = dig(layer, path)
        if found is not None:
            return found
    raise SoftPromptError(
        f"family {family!r} follows no known anatomy (no self-attention found in {type(layer).__name__}); "
        "describe it with softprompt.register_anatomy"
    )


def cross_attention_of(layer: nn.Module) -> nn.Module | None:
    """The cross-attention of a decoder's layer, where it has one of its own."""
    return next(filter(None, (dig(layer, path) for path in _CROSS_ATTENTION_NAMES)), None)


def feed_forward_of(layer: nn.Module) -> nn.Module | None:
    """A layer's feed-forward; a mixture of experts is none, since it looks at several columns at once."""
    found = dig(layer, "mlp")
    return None if found is None or hasattr(found, "experts") else found


def hidden_size(config: PreTrainedConfig) -> int:
    """H."""
    return int(getattr(config, "hidden_size", None) or config.d_model)


def key_value_heads(config: PreTrainedConfig, side: Literal["encoder", "decoder"]) -> int:
    """K of an attention.

    Raises:
        SoftPromptError: the configuration does not say.
    """
    for name in ("num_key_value_heads", f"{side}_attention_heads", "num_attention_heads", "num_heads"):
        value = getattr(config, name, None)
        if value is not None:
            return int(value)
    raise SoftPromptError(f"family {config.model_type!r} does not say how many key-value heads it has")


def head_dim(config: PreTrainedConfig, side: Literal["encoder", "decoder"]) -> int:
    """D of an attention."""
    explicit = getattr(config, "head_dim", None) or getattr(config, "d_kv", None)
    if explicit:
        return int(explicit)
    heads = getattr(config, f"{side}_attention_heads", None) or config.num_attention_heads
    return hidden_size(config) // int(heads)


def is_sketch(body: PreTrainedModel) -> bool:
    """Whether a body has shapes alone: on the device `meta`, and not because accelerate keeps its weights elsewhere."""
    embedding = body.get_input_embeddings()
    return is_sketched(embedding, weight_of(embedding))


def stack_of(body: nn.Module, config: PreTrainedConfig, *, encoder: bool) -> nn.Module:
    """The module whose states the heads read: inside the body where a pooler reads them there (BERT).

    Raises:
        SoftPromptError: there is no such module.
    """
    pools = any(getattr(body, name, None) is not None for name in ("pooler", "pooler_activation"))
    inner = getattr(body, "encoder", None)
    if not encoder or not pools:
        return body
    if not isinstance(inner, nn.Module):
        raise SoftPromptError(
            f"family {config.model_type!r} pools its states where virtual tokens still stand among them: load it "
            "without its pooler, as AutoModel or with a language-model head"
        )
    return inner
