"""The hooks through which the three sites reach a running model. They rest while no call is open."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from softprompt.sites.anatomy import Anatomy
from softprompt.sites.attention import KEYWORD, Place
from softprompt.sites.call import Call, begin, check_length, cross_mask, holds_virtual
from softprompt.sites.hidden import rewrite
from softprompt.sites.layout import Slots
from softprompt.sites.producer import Producer
from softprompt.sites.shared import KEYWORD as LENT
from softprompt.sites.shared import Lent, lend, lends
from softprompt.sites.stream import mask_virtual, resolve


class Hooks:
    """The hooks on one backbone.

    Attributes:
        call: the open call, or None while the model runs as if nothing were attached.
    """

    def __init__(self, anatomy: Anatomy, prompts: Iterable[nn.Module], slots: Sequence[Slots]) -> None:
        """Register them all.

        Args:
            anatomy: the parts of the backbone.
            prompts: the producers attached, a living collection.
            slots: their virtual ids, a living list beside `prompts`.
        """
        self.call: Call | None = None
        self._anatomy, self._prompts, self._slots = anatomy, prompts, slots
        self._handles: list[Any] = []
        self._hands_on = True  # until a call shows that the layers keep what they are lent from their attention
        self._register()

    def remove(self) -> None:
        """Take every hook off the model."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    @property
    def _producers(self) -> list[Producer]:
        return list(self._prompts)  # type: ignore[arg-type]

    def _register(self) -> None:
        part, keep = self._anatomy, self._handles.append
        on_body = partial(self._on_body, argument_names(part.body))
        keep(part.body.register_forward_pre_hook(on_body, with_kwargs=True))
        keep(part.embedding.register_forward_pre_hook(self._on_ids))
        keep(part.embedding.register_forward_hook(self._on_embedded))
        if part.positions is not None:
            keep(part.positions.register_forward_pre_hook(self._on_positions, with_kwargs=True))
            keep(part.positions.register_forward_hook(self._on_positioned))
        for layer in dict.fromkeys(part.layers):
            order = [index for index, other in enumerate(part.layers) if other is layer]
            keep(layer.register_forward_pre_hook(partial(self._on_layer, order), with_kwargs=True))
        if part.last_feed_forward is not None:
            keep(part.last_feed_forward.register_forward_pre_hook(self._on_feed))
            keep(part.last_feed_forward.register_forward_hook(self._on_fed))
        if part.decoder is None:
            keep(part.stack.register_forward_hook(self._on_states))
        else:
            on_decoder = partial(self._on_decoder, argument_names(part.decoder))
            keep(part.decoder.register_forward_pre_hook(on_decoder, with_kwargs=True))
            keep(part.decoder.register_forward_hook(self._on_decoded))
        for index, layer in enumerate(part.decoder_layers):
            keep(layer.register_forward_pre_hook(partial(self._on_decoder_layer, index), with_kwargs=True))

    def _on_body(self, names: list[str], module: nn.Module, args: Any, kwargs: Any) -> Any:
        if self.call is None:
            return None
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        return (), self._lent(self.call, given) or begin(self.call, self._anatomy, self._slots, given)

    def _lent(self, call: Call, given: dict[str, Any]) -> dict[str, Any] | None:
        """The arguments of a call whose rows run as one; None where they cannot."""
        body: Any = self._anatomy.body
        call.shows_states = bool(given.get("output_hidden_states", body.config.output_hidden_states))
        call.lent, ids = None, given.get("input_ids")
        if not self._hands_on or not call.inserting or call.below is not None or not isinstance(ids, Tensor):
            return None
        rows = call.rows_of(ids.shape[0])
        if not lends(self._anatomy, self._slots, self._producers, rows, given) or holds_virtual(ids, self._anatomy):
            return None
        check_length(self._anatomy, ids, given.get("attention_mask"), [self._slots[row] for row in rows], False)
        call.resolved = False
        call.calls.clear()
        call.lent, call.layout, changed = lend(self._anatomy, self._slots, rows[0], given)
        return changed

    def _on_ids(self, module: nn.Module, args: Any) -> Any:
        call = self.call
        if call is None or call.layout is None or call.resolved or not call.layout.groups:
            return None
        return (mask_virtual(args[0], self._anatomy.vocab_size), *args[1:])

    def _on_embedded(self, module: nn.Module, args: Any, output: Tensor) -> Any:
        call = self.call
        if call is None or call.layout is None or call.resolved or not call.layout.groups:
            return None
        call.resolved = True
        return resolve(output, call.layout.groups, self._producers)

    def _on_positions(self, module: nn.Module, args: Any, kwargs: Any) -> Any:
        if self.call is None or self.call.layout is None or self.call.layout.positions is None:
            return None
        return args, {**kwargs, "position_ids": self.call.layout.positions}

    def _on_positioned(self, module: nn.Module, args: Any, output: Tensor) -> Any:
        """BART's module puts an axis in front of position ids that are given."""
        return output[0] if output.ndim == 4 else None

    def _on_layer(self, order: list[int], module: nn.Module, args: Any, kwargs: Any) -> Any:
        call = self.call
        if call is None:
            return None
        layer = order[call.calls.get(id(module), 0) % len(order)]
        call.calls[id(module)] = call.calls.get(id(module), 0) + 1
        by_position = bool(args)
        states: Tensor = args[0] if by_position else kwargs["hidden_states"]
        kwargs = {**kwargs, **self._joined(call, layer, {"body": self._anatomy.attentions}, states)}
        if call.lent is not None:
            kwargs = {**kwargs, LENT: call.lent}
        if call.below is not None and call.layout is not None and layer == call.below.layer:
            states = call.below.enter(states, call.layout)
        if call.layout is not None and not (call.below is not None and layer < call.below.layer):
            states = rewrite(states, layer, call.layout.groups, self._producers)
        return ((states, *args[1:]), kwargs) if by_position else (args, {**kwargs, "hidden_states": states})

    def _on_decoder_layer(self, layer: int, module: nn.Module, args: Any, kwargs: Any) -> Any:
        if self.call is None:
            return None
        part, states = self._anatomy, args[0] if args else kwargs["hidden_states"]
        places: dict[Place, Sequence[nn.Module]] = {"decoder": part.decoder_attentions, "cross": part.cross_attentions}
        return args, {**kwargs, **self._joined(self.call, layer, places, states)}

    def _joined(
        self, call: Call, layer: int, places: Mapping[Place, Sequence[nn.Module]], states: Tensor
    ) -> dict[str, Any]:
        """The keyword that carries a layer's prefixes to its attentions; nothing where no row has one."""
        asked = [(place, attentions[layer]) for place, attentions in places.items()]
        found = [call.join.of_layer(place, layer, one, states.shape[0], states.dtype) for place, one in asked]
        prefixes = tuple(prefix for prefix in found if prefix is not None)
        return {KEYWORD: prefixes} if prefixes else {}

    def _on_feed(self, module: nn.Module, args: Any) -> Any:
        """Nobody reads the last layer's output at columns that were not selected: leave them out."""
        call, states = self.call, args[0]
        if call is None or call.select is None or call.shows_states or self._anatomy.checkpoints:
            return None
        if call.lent is None and call.select.shape[0] != states.shape[0]:
            return None
        columns = call.columns(call.select)
        if columns.numel() >= states.shape[0] * states.shape[1]:
            return None
        call.whole = states.shape
        return (gather(states, columns), *args[1:])

    def _on_fed(self, module: nn.Module, args: Any, output: Any) -> Any:
        call = self.call
        if call is None or call.select is None or call.whole is None:
            return None
        columns, whole = call.columns(call.select), output.new_zeros(call.whole)
        call.whole = None
        return whole.scatter(1, columns[..., None].expand_as(output), output)

    def _on_states(self, module: nn.Module, args: Any, output: Any) -> Any:
        call = self.call
        if call is None:
            return None
        if call.lent is not None and not call.lent.used.issuperset(self._anatomy.attentions):
            return self._again(call.lent)
        call.join.check(self._anatomy.family)
        states: Tensor = output[0]
        if call.select is not None:
            return _with_states(output, _one_row(gather(states, call.columns(call.select))))
        if call.lent is not None:
            return _with_states(output, call.lent.back(states))
        return None if call.keep is None else _with_states(output, gather(states, call.keep))

    def _again(self, lent: Lent) -> Any:
        """The body's output without lending: some attention was not told of the rows, so that each saw the others.

        The call itself is the probe: a model that lends pays nothing, one that does not pays one pass, once. This runs
        inside the body's forward hook; the hooks of the inner call set the open call up anew and finish its output.
        Checkpoints count as any layer does: they run their forward pass before this, and what they recompute later is
        asked nothing.
        """
        self._hands_on = False
        return self._anatomy.body(**lent.given)

    def _on_decoder(self, names: list[str], module: nn.Module, args: Any, kwargs: Any) -> Any:
        call = self.call
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        states = given.get("encoder_hidden_states")
        if call is None or states is None:
            return None
        mask = cross_mask(call, self._slots, self._producers, given.get("encoder_attention_mask"), states)
        return (), {**given, "encoder_attention_mask": mask}

    def _on_decoded(self, module: nn.Module, args: Any, output: Any) -> Any:
        if self.call is None:
            return None
        self.call.join.check(self._anatomy.family)
        if self.call.select is None:
            return None
        return _with_states(output, _one_row(gather(output[0], self.call.select)))


def argument_names(module: nn.Module) -> list[str]:
    """The names of a module's forward arguments in their order."""
    return list(inspect.signature(module.forward).parameters)


def gather(states: Tensor, columns: Tensor) -> Tensor:
    """States `(B, T, H)` at columns `(B, N)`: shape `(B, N, H)`."""
    return states.gather(1, columns[..., None].expand(-1, -1, states.shape[-1]))


def user_length(output: Any, call: Call, slots: Sequence[Slots], *, encoder_decoder: bool) -> Any:
    """A model's output whose states and logits have the user's length; attention maps keep every column."""
    keep = call.keep
    if keep is not None and isinstance(output, Mapping):
        total = keep.shape[1] + max(slots[row].count for row in call.rows)
        names = ("encoder_hidden_states",) if encoder_decoder else ("hidden_states",)
        for name in names:
            if output.get(name) is not None:
                cut = tuple(gather(states, keep) if states.shape[1] == total else states for states in output[name])
                output[name] = cut  # type: ignore[index]
        if output.get("encoder_last_hidden_state") is not None:
            output["encoder_last_hidden_state"] = gather(output["encoder_last_hidden_state"], keep)  # type: ignore[index]
    if call.select is not None and hasattr(output, "logits"):
        output.logits = output.logits.view(*call.select.shape, -1)
    return output


def _one_row(states: Tensor) -> Tensor:
    """States `(B, S, H)` as one contiguous row `(1, B * S, H)`.

    A product of a sliced 3-D matrix copies the head's weight once a row in bf16 on the CPU.
    """
    return states.reshape(1, -1, states.shape[-1])


def _with_states(output: Any, states: Tensor) -> Any:
    if isinstance(output, tuple):
        return (states, *output[1:])
    output.last_hidden_state = states
    return output
