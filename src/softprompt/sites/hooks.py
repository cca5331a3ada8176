"""What the three sites do around the calls of a backbone's modules, while a call of the attached model is open."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn

from softprompt.backbones.anatomy import Anatomy
from softprompt.backbones.cached import cache_name
from softprompt.backbones.shown import shows_layers
from softprompt.backbones.structure import vectors_of
from softprompt.errors import SoftPromptError
from softprompt.sites.activations import activated, activations_of
from softprompt.sites.apart import pads, run_apart
from softprompt.sites.arguments import begin, check_length, cross_mask, holds_virtual
from softprompt.sites.asking import Around, Beneath
from softprompt.sites.attention import Place, watcher
from softprompt.sites.forward_call import Call
from softprompt.sites.hidden import rewrite
from softprompt.sites.kept_encodings import run_over_kept
from softprompt.sites.key_values import Carrier
from softprompt.sites.norms import normed, norms_of
from softprompt.sites.one_row import in_one_row
from softprompt.sites.outputs import Output, gather, mend_beside, one_row, put_back, states_of, with_states
from softprompt.sites.padding import Side
from softprompt.sites.prefix_sharing import SHARED_PREFIX, why_unshared
from softprompt.sites.stream import mask_virtual, resolve, shown
from softprompt.sites.through_cache import run_through_cache

Args: TypeAlias = tuple[object, ...]
Kwargs: TypeAlias = dict[str, object]


class Hooks:
    """What works around the modules of one backbone during a call of the attached model.

    Attributes:
        around: by module.
        carrier: brings prefixes to attentions.
        moving: the sides on which padding would move a row, so that rows of one length run together.
        shares: whether batches may run as one row; no more once a call shows that attention was not told of it.
        few_widths: whether such a row is to have one of few widths.
    """

    def __init__(self, anatomy: Anatomy) -> None:
        """Know the modules; nothing is changed.

        Args:
            anatomy: the parts of the backbone.
        """
        self._anatomy, self.carrier = anatomy, Carrier(anatomy)
        self.moving: frozenset[Side] = frozenset()
        self.shares, self.few_widths = True, False
        # Found once and here: what is found in a call must be such that the compiler can trace it.
        self._layers, self._states_left_out = frozenset(anatomy.layers), _keeps_states(anatomy.body)
        self.around = self._arounds(anatomy)

    def _arounds(self, part: Anatomy) -> dict[nn.Module, Around]:
        found: dict[nn.Module, Around] = {}
        for layer in dict.fromkeys(part.layers):
            order = tuple(index for index, other in enumerate(part.layers) if other is layer)
            found[layer] = partial(self._layer, order)
        for index, layer in enumerate(part.decoder_layers):
            found[layer] = partial(self._decoder_layer, index)
        found[part.embedding] = self._embedding
        found |= dict.fromkeys(part.lookups, self._lookup)
        if part.positions is not None:
            found[part.positions] = self._positions
        if part.last_feed_forward is not None:
            found[part.last_feed_forward] = self._feed
        if part.decoder is not None:
            found[part.decoder] = partial(self._decoder, argument_names(part.decoder))
        elif part.stack is not part.body:
            found[part.stack] = self._stack
        found[part.body] = partial(self._body, argument_names(part.body))
        inside = [module for stack in (part.body, part.decoder) if stack is not None for module in stack.modules()]
        activations = {module: partial(activated, module) for module in activations_of(inside)}
        return {**{module: partial(self._norm, module) for module in norms_of(inside)}, **activations, **found}

    def _body(self, names: list[str], call: Call, beneath: Beneath, args: Args, kwargs: Kwargs) -> object:
        part, given = self._anatomy, {**dict(zip(names, args, strict=False)), **kwargs}
        call.began = True
        if self._states_left_out:
            given["use_cache"] = False
        elif not call.wants_cache and "use_cache" in names:
            given.setdefault("use_cache", False)
        changed = self._as_one_row(call, given)
        changed = begin(call, part, given) if changed is None else changed
        inside = part.decoder is None and part.stack is not part.body
        mask = call.mask if given.get("attention_mask") is None else given["attention_mask"]
        if call.layout is not None and pads(call.layout.mask, self.moving):
            output = run_apart(call, call.layout, changed, mask, partial(self._whole, beneath))
            if inside and call.select is not None:
                output = with_states(output, one_row(gather(output[0], call.select)))
        else:
            output = self._whole(beneath, call, changed)
        return output if inside or part.decoder is not None else self._states(call, output)

    def _whole(self, beneath: Beneath, call: Call, changed: Kwargs) -> Any:
        ids = changed.get("input_ids")
        call.batch = _tensor(changed["inputs_embeds"] if ids is None else ids).shape[0]
        call.through_cache = any(call.footprints[row].prefix for row in set(call.rows)) and self.carrier.by_cache
        if call.through_cache:
            counted, run = bool(self.moving), (lambda given: beneath(**given))
            output = run_through_cache(call, self._anatomy, changed, run, columns_count=counted)
        else:
            output = run_over_kept(call, self._anatomy, changed, beneath)
        self._reached(call)
        return output

    def _stack(self, call: Call, beneath: Beneath, args: Args, kwargs: Kwargs) -> object:
        output: Output = beneath(*args, **kwargs)
        columns = output[0].shape[1] if call.layout is None else call.layout.ids.shape[1]
        behind = output[0].shape[1] - columns  # padding of the model's own, which the body cuts off again
        cut = self._states(call, output)
        return cut if behind <= 0 else with_states(cut, nn.functional.pad(cut[0], (0, 0, 0, behind)))

    def _as_one_row(self, call: Call, given: Kwargs) -> Kwargs | None:
        """The arguments of a call whose rows run as one; None where they cannot."""
        call.shows_states = shows_layers(self._anatomy.body.config, given)
        call.shared_prefix, ids, mask = None, given.get("input_ids"), cast("Tensor | None", given.get("attention_mask"))
        stay = not self.shares or call.apart or self.moving or not call.inserting or call.states_below is not None
        if stay or watcher() is not None or not isinstance(ids, Tensor):
            return None
        rows = call.rows_of(ids.shape[0])
        cached = self.carrier.by_cache and any(call.footprints[row].prefix for row in rows)
        if cached or why_unshared(self._anatomy, call.footprints, rows, given) or holds_virtual(ids, self._anatomy):
            return None
        check_length(self._anatomy, ids, mask, [call.slots[row] for row in rows], False)
        return in_one_row(call, self._anatomy, rows, given, self.few_widths)

    def _reached(self, call: Call) -> None:
        """See that what the prompts placed was reached.

        Raises:
            SoftPromptError: a part was replaced after the prompts were attached, or layers are called in a way in which
                nothing can be put before them.
        """
        call.join.check(self._anatomy.family)
        if torch.compiler.is_compiling() or call.dropout:  # a model that trains may drop layers by chance
            return
        lost = "the input embedding" if call.layout and call.layout.groups and not call.resolved else ""
        if not lost and len(call.calls) != len(self._layers):
            there = set(self._anatomy.body.modules())
            lost = "" if self._layers <= there else "layers"
            placed = (call.footprints[row] for row in set(call.rows))
            if not lost and any(one.hidden_layers or one.prefix for one in placed):
                raise SoftPromptError(
                    f"family {self._anatomy.family!r} does not call its layers as modules, so that nothing can be put "
                    "before them: take a method of the site 'stream', such as prompt_tuning"
                )
        if lost:
            raise SoftPromptError(f"{lost} of the backbone were replaced since the prompts were attached: attach again")

    def _embedding(self, call: Call, beneath: Beneath, args: Args, kwargs: Kwargs) -> object:
        if call.layout is None or call.resolved or not call.layout.groups:
            return beneath(*args, **kwargs)
        output = beneath(mask_virtual(_tensor(args[0]), self._anatomy.vocab_size), *args[1:], **kwargs)
        call.resolved = True
        resolved = resolve(vectors_of(output), call.layout.groups, call.producers)
        return (resolved, *output[1:]) if isinstance(output, tuple) else resolved

    def _lookup(self, call: Call, beneath: Beneath, args: Args, kwargs: Kwargs) -> object:
        """Another table by id reads a plain token's row in the place of a virtual one (`mask_virtual`)."""
        if call.layout is None or not call.layout.groups:
            return beneath(*args, **kwargs)
        size = self._anatomy.vocab_size
        return beneath(*(shown(one, size) for one in args), **{name: shown(one, size) for name, one in kwargs.items()})

    def _positions(self, call: Call, beneath: Beneath, args: Args, kwargs: Kwargs) -> object:
        own, positions = kwargs.get("position_ids"), call.positions
        if isinstance(own, Tensor) and own.ndim > 2:  # a wrapper's own, of text and images, or those that it was given
            positions = own if call.moved is None else own + call.moved
        if positions is not None:
            kwargs = {**kwargs, "position_ids": positions}
        output = beneath(*args, **kwargs)
        # BART's table puts an axis in front of position ids that are given.
        return output[0] if isinstance(output, Tensor) and output.ndim == 4 else output

    def _layer(self, order: tuple[int, ...], call: Call, beneath: Beneath, args: Args, kwargs: Kwargs) -> object:
        layer = order[call.calls.get(order[0], 0) % len(order)]
        call.calls[order[0]] = call.calls.get(order[0], 0) + 1
        by_position, states_below = bool(args), call.states_below
        states = _tensor(args[0] if by_position else kwargs["hidden_states"])
        if states_below is not None and states_below.leaves_out(layer):
            return states
        kwargs = {**kwargs, **self._joined(call, layer, {"body": self._anatomy.attentions}, states.dtype)}
        if call.shared_prefix is not None:
            kwargs = {**kwargs, SHARED_PREFIX: call.shared_prefix}
        if states_below is not None and call.layout is not None and layer == states_below.layer:
            states = states_below.enter(states, call.layout)
        if call.layout is not None and not (states_below is not None and layer < states_below.layer):
            states = rewrite(states, layer, call.layout.groups, call.producers, call.footprints)
        output = beneath(states, *args[1:], **kwargs) if by_position else beneath(**{**kwargs, "hidden_states": states})
        if states_below is not None:
            states_below.plain = states_below.plain and isinstance(output, Tensor)
        return output

    def _decoder_layer(self, layer: int, call: Call, beneath: Beneath, args: Args, kwargs: Kwargs) -> object:
        part, states = self._anatomy, _tensor(args[0] if args else kwargs["hidden_states"])
        places: dict[Place, Sequence[nn.Module]] = {"decoder": part.decoder_attentions, "cross": part.cross_attentions}
        call.batch = states.shape[0]
        return beneath(*args, **{**kwargs, **self._joined(call, layer, places, states.dtype)})

    def _joined(
        self, call: Call, layer: int, places: Mapping[Place, Sequence[nn.Module | None]], dtype: torch.dtype
    ) -> Kwargs:
        """The keyword that carries a layer's prefixes to its attentions; nothing where no row has one."""
        if call.through_cache:
            return {}
        asked: dict[Place, nn.Module] = {}
        for place, own in places.items():
            attention = own[layer]
            if attention is not None:
                asked[place] = attention
        source = self.carrier.source(layer) if "body" in asked else layer
        batch = call.batch if call.shared_prefix is None else None
        return self.carrier(call.join.of_places(asked, source, batch, dtype), call.carried)

    def _feed(self, call: Call, beneath: Beneath, args: Args, kwargs: Kwargs) -> object:
        """Nobody reads the last layer's output at columns that were not selected: leave them out."""
        states, alone = _tensor(args[0]), len(args) == 1 and not kwargs  # BLOOM's is given the residual besides
        if call.select is None or call.shows_states or self._anatomy.checkpoints or not alone:
            return beneath(*args, **kwargs)
        if call.shared_prefix is None and call.select.shape[0] != states.shape[0]:
            return beneath(*args, **kwargs)
        columns = call.columns(call.select)
        if columns.numel() >= states.shape[0] * states.shape[1]:
            return beneath(*args, **kwargs)
        return put_back(beneath(gather(states, columns)), columns, states.shape[1])

    def _norm(self, module: nn.Module, call: Call, beneath: Beneath, args: Args, kwargs: Kwargs) -> object:
        """A frozen norm's backward pass may be written out; one that trains, or is heard by hooks, is its own."""
        plain = len(args) == 1 and not kwargs and isinstance(args[0], Tensor) and call.tensor(module, "weight") is None
        return normed(module, beneath, _tensor(args[0])) if plain else beneath(*args, **kwargs)

    def _states(self, call: Call, output: Output) -> Output:
        """The states that leave the stack, of the user's columns or of those selected."""
        shared = call.shared_prefix
        if shared is not None and not shared.used.issuperset(filter(None, self._anatomy.attentions)):
            return self._run_unshared(shared.given)
        states = states_of(output)
        mend_beside(call, output, states, self._anatomy.vocab_size)
        if call.select is not None:
            return with_states(output, one_row(gather(states, call.columns(call.select))))
        if call.shared_prefix is not None:
            return with_states(output, call.shared_prefix.back(states))
        return output if call.keep is None else with_states(output, gather(states, call.keep))

    def _run_unshared(self, given: Kwargs) -> Output:
        """The body's output without sharing: some attention was not told of the rows, so that each saw the others.

        The call itself is the probe: a model that shares pays nothing, one that does not pays one pass, once. This runs
        inside the body's call; the inner one sets the open call up anew and finishes its output. Checkpoints count as
        any layer does: they run their forward pass before this, and what they recompute later is asked nothing.
        """
        self.shares = False
        output: Output = self._anatomy.body(**given)
        return output

    def _decoder(self, names: list[str], call: Call, beneath: Beneath, args: Args, kwargs: Kwargs) -> object:
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        call.began = True  # where encoder_outputs are given, nobody calls the encoder
        states = given.get("encoder_hidden_states")
        if isinstance(states, Tensor):
            mask = given.get("encoder_attention_mask")
            assert mask is None or isinstance(mask, Tensor)
            mask = cross_mask(call, mask, states)
            given = {**given, "encoder_attention_mask": mask}
        output = beneath(**given)
        call.join.check(self._anatomy.family)
        if call.select is None:
            return output
        return with_states(output, one_row(gather(output[0], call.select)))


def argument_names(module: nn.Module) -> list[str]:
    """The names of a module's forward arguments in their order."""
    return list(inspect.signature(module.forward).parameters)


def _keeps_states(body: nn.Module) -> bool:
    """Whether a body keeps states between calls in no cache of transformers (RWKV), where they are left out.

    They are written in place, which no gradient goes through, and virtual tokens could not be told from them.
    """
    return cache_name(body) is None and "use_cache" in argument_names(body)


def _tensor(value: object) -> Tensor:
    assert isinstance(value, Tensor)
    return value
