"""What a prompt should give, with the bare model's own means: its embeddings, its cache, its attention, its layers.

Nothing here asks the library for anything but the trained vectors and which modules they are for. Each function works
on a twin of the model that the library never saw. Where a model does not lend itself, that is `Unknown`.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel

from softprompt.backbones.compat import TorchDispatchMode

from .bare import SAME, Bare, difference, output
from .verdict import Unknown, Wrong

Pairs = Mapping[str, tuple[Tensor, Tensor]]  # keys and values, each (K, P, D), by the path of the attention
_KEYS = ("k_proj", "key", "k_lin", "k", "linear_k", "key_proj")
_VALUES = ("v_proj", "value", "v_lin", "v", "linear_v", "value_proj")


class Positions(TorchDispatchMode):
    """Rows of a table that are asked for one after another, as those of positions are, become others.

    Attributes:
        width: how many are asked for.
        moved: the index of those instead.
        seen: whether any were.
    """

    def __init__(self, width: int, moved: Callable[[Tensor], Tensor]) -> None:
        """See the class."""
        super().__init__()
        self.width, self.moved = width, moved
        self.seen = False

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Look at every look-up."""
        place = {torch.ops.aten.embedding.default: 1, torch.ops.aten.index_select.default: 2}.get(function)
        if place is not None and args[place].shape[-1:] == (self.width,) and bool((args[place].diff() == 1).all()):
            self.seen = True
            args = (*args[:place], self.moved(args[place]), *args[place + 1 :])
        return function(*args, **(kwargs or {}))


@contextmanager
def _lent(what: str) -> Iterator[None]:
    """What the bare model does not take is no fault of the library's."""
    try:
        yield
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0][:120]
        raise Unknown(f"{what}: {type(error).__name__}: {first}") from error


def embedding_of(bare: Bare, model: PreTrainedModel) -> nn.Module:
    """The module that looks the text up."""
    found: nn.Module = (model.get_encoder() if bare.two_sided else model).get_input_embeddings()
    return found


def by_embeddings(bare: Bare, model: PreTrainedModel, vectors: Tensor, added: Tensor | None = None) -> Tensor:
    """Vectors `(P, E)` in front of the text's embeddings, as `inputs_embeds`.

    Args:
        bare: what is asked.
        model: a twin.
        vectors: of the prompt.
        added: further ids: of the text, or of what a decoder reads.
    """
    if bare.pooled:
        raise Unknown("a head that reads one column")
    ids = bare.ids if added is None or bare.two_sided else torch.cat([bare.ids, added], dim=1)
    _see_embeddings(bare, model)
    with _lent("inputs_embeds"), torch.no_grad():
        text = embedding_of(bare, model)(ids)
        whole = torch.cat([vectors[None].to(text.dtype), text], dim=1)
        mask = torch.ones(whole.shape[:2], dtype=torch.long)
        got = output(model(inputs_embeds=whole, attention_mask=mask, **bare.decoder_inputs(ids=added)))
    return got if bare.two_sided else got[:, len(vectors) :]


def _see_embeddings(bare: Bare, model: PreTrainedModel) -> None:
    """See that a text's embeddings are as good as its ids: some families add positions to what ids give alone (ESM)."""
    with _lent("inputs_embeds"), torch.no_grad():
        text = embedding_of(bare, model)(bare.ids)
        mask = torch.ones_like(bare.ids)
        got = output(model(inputs_embeds=text, attention_mask=mask, **bare.decoder_inputs()))
    if difference(got, bare.output) > SAME:
        raise Unknown("inputs_embeds: they are another text than the ids")


def by_cache(bare: Bare, model: PreTrainedModel, pairs: Pairs) -> Tensor:
    """Keys and values as a decoder-only model's `past_key_values`."""
    found = _with_cache(bare, model, pairs)
    if isinstance(found, Unknown):  # hybrids want a cache that knows their layers
        found = _with_cache(bare, model, pairs, config=model.config.get_text_config())
    if isinstance(found, Unknown):
        raise found
    return found


def _with_cache(bare: Bare, model: PreTrainedModel, pairs: Pairs, **options: Any) -> Tensor | Unknown:
    length = max(keys.shape[1] for keys, _ in pairs.values())
    mask = torch.ones(1, length + bare.ids.shape[1], dtype=torch.long)
    try:
        with _lent("past_key_values"), torch.no_grad():
            cache = DynamicCache(**options)
            for place, (path, (keys, values)) in enumerate(pairs.items()):
                layer = getattr(model.get_submodule(path), "layer_idx", place)
                if layer is None or layer < 0:
                    raise LookupError("attention that does not know its layer")
                cache.update(keys[None].to(model.dtype), values[None].to(model.dtype), layer)
            given = {"input_ids": bare.ids, "attention_mask": mask}
            lacking = bool(options) or cache.get_seq_length() != length  # hybrids count from 0
            if lacking and "position_ids" in inspect.signature(model.forward).parameters:
                given["position_ids"] = torch.arange(length, mask.shape[1])[None]
            got = output(model(**given, past_key_values=cache))
    except Unknown as fault:
        return fault
    if got.shape != bare.output.shape:
        return Unknown(f"past_key_values: shape {tuple(got.shape)}")
    return Unknown("past_key_values: they are not read") if torch.equal(got, bare.output) else got


def by_attention(bare: Bare, model: PreTrainedModel, pairs: Pairs, shift: int) -> Tensor:
    """Keys and values in front of those that attentions see, the text's positions `shift` further.

    In the eager function of the model's file, where its attentions call one, else behind their projections.
    """
    if bare.pooled:
        raise Unknown("a head that reads one column")
    joins = [(model.get_submodule(path), *pair) for path, pair in pairs.items()]
    waiting = {id(module) for module, _, _ in joins}
    with ExitStack() as stack, _lent("its attention"):
        model.set_attn_implementation("eager")
        for file in {sys.modules[type(module).__module__] for module, _, _ in joins}:
            own = [one for one in joins if type(one[0]).__module__ == file.__name__]
            functions = _functions(file)
            for name, function in functions.items():
                stack.callback(setattr, file, name, function)
                setattr(file, name, _eager(function, own, waiting))
            if not functions:
                _behind_projections(own, bare.ids.shape[1], waiting)
        got = _further(bare, model, shift)
    if waiting:
        raise Unknown("its attention: it is computed elsewhere")
    return got


def fits_a_cache(module: nn.Module) -> bool:
    """Whether a prefix of an attention is what a cache would give it.

    Where its function is handed what depends on the distance of two tokens, a prefix has none, and would have one in a
    cache; attention that takes its keys from another layer (Gemma 3n) would take that one's prefix from there, too.
    """
    functions = _functions(sys.modules[type(module).__module__]).values()
    distances = any("position_bias" in inspect.signature(one).parameters for one in functions)
    return not distances and not getattr(module, "is_kv_shared_layer", False)


def _functions(file: ModuleType) -> dict[str, Callable[..., Any]]:
    return {name: one for name, one in vars(file).items() if name.endswith("eager_attention_forward")}


def _further(bare: Bare, model: PreTrainedModel, shift: int) -> Tensor:
    """What a model gives where its text begins at another position: by its table, or as it is told."""
    if not shift:
        return bare.run(model)
    with Positions(bare.ids.shape[1], lambda index: index + shift) as positions:
        found = bare.run(model)
    if positions.seen or "position_ids" not in inspect.signature(model.forward).parameters:
        return found
    return bare.run(model, position_ids=torch.arange(shift, shift + bare.ids.shape[1])[None])


def _eager(
    own: Callable[..., Any], joins: Sequence[tuple[nn.Module, Tensor, Tensor]], waiting: set[int]
) -> Callable[..., Any]:
    known = {id(module): pair for module, *pair in joins}

    def attend(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Any, *rest: Any, **more: Any) -> Any:
        if id(module) in known:
            waiting.discard(id(module))
            keys, values = (states[None].to(key.dtype).expand(len(key), -1, -1, -1) for states in known[id(module)])
            key, value, length = torch.cat([keys, key], 2), torch.cat([values, value], 2), keys.shape[2]
            mask = _wider(mask, length)
            if more.get("position_bias") is not None:
                more["position_bias"] = nn.functional.pad(more["position_bias"], (length, 0))
        return own(module, query, key, value, mask, *rest, **more)

    return attend


def _wider(mask: Tensor | None, length: int) -> Tensor | None:
    """A mask that is open in front, in whatever way it says so."""
    if mask is None:
        return None
    additive = mask.is_floating_point()
    return nn.functional.pad(mask, (length, 0), value=0.0 if additive else 1)


def _behind_projections(joins: Sequence[tuple[nn.Module, Tensor, Tensor]], width: int, waiting: set[int]) -> None:
    for module, *pair in joins:
        parts = dict(module.named_modules())
        for names, states in zip((_KEYS, _VALUES), pair, strict=True):
            projection = next((parts[name] for name in names if name in parts), None)
            if projection is None:
                raise LookupError("no function and no projection of keys and values")
            flat = states.transpose(0, 1).flatten(1)[None]  # (1, P, K * D)
            projection.register_forward_hook(
                lambda _, args, out, flat=flat: torch.cat([flat.expand(len(out), -1, -1).to(out.dtype), out], dim=1)
            )
        length = pair[0].shape[1]

        def widen(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], length: int = length) -> Any:
            waiting.discard(id(module))
            wide = [
                _wider(one, length) if isinstance(one, Tensor) and one.ndim == 4 and one.shape[-1] == width else one
                for one in (*args, *kwargs.values())
            ]
            return tuple(wide[: len(args)]), dict(zip(kwargs, wide[len(args) :], strict=True))

        module.register_forward_pre_hook(widen, with_kwargs=True)


def by_layers(
    bare: Bare, model: PreTrainedModel, table: Tensor, start: Tensor, layers: Sequence[str], *, shift: bool
) -> Tensor:
    """CaPT by its equations 1 and 2: one slot in front, S = p + mean of the text, from layer 2 on with the slot.

    Args:
        bare: what is asked.
        model: a twin.
        table: p of each layer, `(L, 1, H)`.
        start: what the slot holds before, `(1, E)`.
        layers: their paths.
        shift: whether the slot takes a position, or shares that of the first token.
    """
    if bare.pooled:
        raise Unknown("a head that reads one column")
    if len(set(layers)) < len(layers):
        raise Unknown("layers with shared weights")
    _see_embeddings(bare, model)
    called: list[int] = []
    with _lent("its layers"), torch.no_grad():
        for number, path in enumerate(layers):
            hook = _capsule(number, table[number], called, 1 + bare.ids.shape[1])
            model.get_submodule(path).register_forward_pre_hook(hook, with_kwargs=True)
        text = embedding_of(bare, model)(bare.ids)
        whole = torch.cat([start[None].to(text.dtype), text], dim=1)
        mask = torch.ones(whole.shape[:2], dtype=torch.long)
        with ExitStack() as stack:
            if not shift:
                stack.enter_context(Positions(whole.shape[1], lambda index: (index - 1).clamp(min=int(index.min()))))
            got = output(model(inputs_embeds=whole, attention_mask=mask, **bare.decoder_inputs()))
    if called != sorted(called):
        raise Wrong(f"the layers are called in the order {called}")
    return got if bare.two_sided else got[:, 1:]


def _capsule(number: int, vector: Tensor, called: list[int], width: int) -> Callable[..., Any]:
    def write(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        called.append(number)
        states = (args[0] if args else kwargs["hidden_states"]).clone()
        seen = states[:, int(number == 0) : width]  # a model may pad inside itself, as Pegasus-X
        states[:, :1] = vector.to(states.dtype) + seen.mean(1, keepdim=True)
        return ((states, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": states})

    return write
