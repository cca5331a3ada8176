"""The few shapes that transformers' models share: where layers, attentions and positions are found, and sizes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from operator import methodcaller
from typing import Literal, cast

from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from softprompt.backbones.compat import looks_attention_up
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
_WIDTHS = ("hidden_size", "d_model", "n_embd", "dim", "emb_dim")
_ATTENTION_NAMES = (
    "self_attn",
    "attn",
    "attention.self",
    "attention",
    "layer.0.SelfAttention",
    "self_attention",
)
_CROSS_ATTENTION_NAMES = ("encoder_attn", "layer.1.EncDecAttention", "cross_attn", "crossattention.self")


def dig(module: nn.Module, path: str) -> nn.Module | None:
    """The module at a dotted path, in which a number indexes a list; None where there is none."""
    found: object = module
    for name in path.split("."):
        found = found[int(name)] if name.isdigit() and isinstance(found, nn.ModuleList) else getattr(found, name, None)
        if found is None:
            return None
    return found if isinstance(found, nn.Module) else None


def input_embedding(body: nn.Module) -> nn.Module | None:
    """The module that looks ids up: the one it names, else its only table of the vocabulary's size, or None."""
    found: object = None
    with suppress(AttributeError, NotImplementedError, TypeError):
        found = methodcaller("get_input_embeddings")(body)
    if isinstance(found, nn.Module):
        weight = getattr(found, "weight", None)
        return found if isinstance(weight, Tensor) and weight.ndim == 2 else None
    size = getattr(getattr(body, "config", None), "vocab_size", None)
    tables = [one for one in body.modules() if isinstance(one, nn.Embedding) and one.num_embeddings == size]
    return tables[0] if len(tables) == 1 else None


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


def body_of(model: nn.Module, config: PreTrainedConfig, receivers: Sequence[nn.Module]) -> PreTrainedModel:
    """The smallest module that receives ids and holds the input embedding and lists of modules.

    Args:
        model: of one side.
        config: of its text.
        receivers: the modules through which ids go to the embedding, from outside in (`route.receivers`).
    """
    for module in reversed(receivers):
        lists = any(isinstance(part, nn.ModuleList) for part in module.modules())
        if lists and hasattr(module, "config") and input_embedding(module) is not None:
            return cast("PreTrainedModel", module)
    body: nn.Module = getattr(model, "base_model", model)
    for name in ("language_model", "encoder", "decoder"):  # a wrapper of several models may need more than ids
        part = getattr(body, name, None)
        if not layers_of(body, config) and isinstance(part, nn.Module):
            body = part
    return cast("PreTrainedModel", body)  # of whose class a wrapper's part may not be, but not of what is asked of it


def layers_of(body: nn.Module, config: PreTrainedConfig) -> tuple[nn.Module, ...]:
    """The layers of a stack in the order of their calls; none where no known list of them is found."""
    groups = dig(body, "encoder.albert_layer_groups")
    if isinstance(groups, nn.ModuleList):
        return _shared_layers(groups, config)
    for path in _LAYER_LISTS:
        found = dig(body, path)
        if isinstance(found, nn.ModuleList) and len(found):
            return tuple(layer for layer in found if not _crosses_alone(layer))
    return ()


def _crosses_alone(layer: nn.Module) -> bool:
    """Whether a layer attends to images alone, and is left out where a call has none (Mllama)."""
    return cross_attention_of(layer) is not None and attentions_of((layer,)) == (None,)


def embedding_of(body: nn.Module, family: str) -> nn.Module:
    """The input embedding of a body.

    Args:
        body: the module that receives the ids.
        family: of the whole model, by which its reader would be registered.

    Raises:
        SoftPromptError: there is none.
    """
    embedding = input_embedding(body)
    if embedding is None:
        raise SoftPromptError(
            f"family {family!r} follows no known anatomy (no input embedding in {type(body).__name__}, so "
            "that virtual tokens have no place): describe it with softprompt.register_anatomy"
        )
    return embedding


def _shared_layers(groups: nn.ModuleList, config: PreTrainedConfig) -> tuple[nn.Module, ...]:
    """ALBERT: each of `num_hidden_layers` calls runs all layers of its group."""
    order: list[nn.Module] = []
    for call in range(config.num_hidden_layers):
        group = groups[int(call / (config.num_hidden_layers / config.num_hidden_groups))]
        order.extend(group.get_submodule("albert_layers").children())
    return tuple(order)


def attentions_of(layers: Sequence[nn.Module]) -> tuple[nn.Module | None, ...]:
    """The self-attention of each layer; None in those without one.

    Where layers have attention that looks its function up, those that have none of it have another thing in its place
    (a convolution, a recurrence, linear attention). Where none has, attention is what bears its name.
    """
    open_ones = tuple(_looking_up(layer) for layer in layers)
    return open_ones if any(open_ones) else tuple(_named(layer, _ATTENTION_NAMES) for layer in layers)


def _looking_up(layer: nn.Module) -> nn.Module | None:
    """The part of a layer, or the layer, that looks up its self-attention; of several one that is named so."""
    found = [part for part in layer.modules() if looks_attention_up(part)]
    named = _named(layer, _ATTENTION_NAMES)
    return named if named in found else next((one for one in found if one is not cross_attention_of(layer)), None)


def _named(layer: nn.Module, paths: Iterable[str]) -> nn.Module | None:
    return next(filter(None, (dig(layer, path) for path in paths)), None)


def cross_attention_of(layer: nn.Module) -> nn.Module | None:
    """The cross-attention of a decoder's layer, where it has one of its own."""
    return _named(layer, _CROSS_ATTENTION_NAMES)


def is_attention_alone(body: nn.Module, config: PreTrainedConfig) -> bool:
    """Whether a body's columns meet in full or sliding attention alone, as far as it and its configuration tell."""
    kinds = set(getattr(config, "layer_types", None) or ())
    if not kinds <= {"full_attention", "sliding_attention"} or getattr(config, "attention_chunk_size", None):
        return False
    return not any(isinstance(module, nn.Conv1d | nn.RNNBase) for module in body.modules())


def feed_forward_of(layer: nn.Module) -> nn.Module | None:
    """A layer's feed-forward; a mixture of experts is none, since it looks at several columns at once."""
    found = dig(layer, "mlp")
    return None if found is None or hasattr(found, "experts") else found


def _said(config: PreTrainedConfig, name: str) -> object:
    """What a configuration says; None where it does not, or says another thing for each layer (Gemma 4)."""
    with suppress(RuntimeError):
        return getattr(config, name, None)
    return None


def hidden_size(config: PreTrainedConfig) -> int:
    """H; 0 where the configuration does not say."""
    return int(next((size for name in _WIDTHS if isinstance(size := _said(config, name), int) and size), 0))


def key_value_heads(config: PreTrainedConfig, side: Literal["encoder", "decoder"]) -> int:
    """K of an attention; 0 where the configuration does not say."""
    for name in ("num_key_value_heads", f"{side}_attention_heads", "num_attention_heads", "num_heads"):
        value = _said(config, name)
        if value is not None:
            return value if isinstance(value, int) else 0
    return 0


def head_dim(config: PreTrainedConfig, side: Literal["encoder", "decoder"]) -> int:
    """D of an attention; 0 where the configuration does not say."""
    explicit = _said(config, "head_dim") or _said(config, "d_kv")
    heads = _said(config, f"{side}_attention_heads") or _said(config, "num_attention_heads")
    if isinstance(explicit, int) and explicit:
        return explicit
    return hidden_size(config) // heads if isinstance(heads, int) and heads else 0


def is_sketch(body: PreTrainedModel) -> bool:
    """Whether a body has shapes alone: on the device `meta`, and not because accelerate keeps its weights elsewhere."""
    embedding = input_embedding(body)
    return embedding is not None and is_sketched(embedding, weight_of(embedding))


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
