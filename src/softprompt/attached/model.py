"""The attached model: the user's own model, with prompts at its sites while they are attached."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn

from softprompt.attached.generation import generate
from softprompt.attached.wrapper import Wrapper, let_all_go
from softprompt.backbones.anatomy import Anatomy, read_anatomy
from softprompt.backbones.compat import compiles_calls
from softprompt.errors import SoftPromptError
from softprompt.guards.tokenizing import tokenise
from softprompt.sites.asking import TRAINING, Around, ask, current, opened
from softprompt.sites.attached import Rows
from softprompt.sites.attention import Join, join_in, own_implementation
from softprompt.sites.footprint import Footprint
from softprompt.sites.forward_call import Call
from softprompt.sites.gate import Gate
from softprompt.sites.held import changing
from softprompt.sites.hooks import Hooks, argument_names, gather, user_length
from softprompt.sites.layer_skipping import RecordedStates, can_skip_layers
from softprompt.sites.layout import Slots
from softprompt.sites.prefix_sharing import can_share
from softprompt.sites.producer import Producer, StandIn


class PromptedModel(Wrapper):
    """A frozen model that reads virtual tokens.

    A plain module with the model's own forward signature and outputs of the user's own length (attention maps alone
    keep the virtual tokens' columns). Three keyword arguments come on top: `prompts` (which prompt each row takes: a
    name, or a name or an index a row), `conditioning_mask` (bool, `(batch, tokens)`: the tokens that may condition an
    instance-aware prompt) and `positions` (`(batch, selected)`: compute the head at these columns only).

    Only the prompts' parameters require gradient, and `state_dict` holds them alone, so a checkpoint is as small as the
    prompt. Use `softprompt.attach` to make one, and `detach` or a `with` block to give the model back as it was.

    Attributes:
        backbone: the user's model.
        prompts: the producers, in the order of `names`.
        names: the names of the attached prompts.
        slots: for each prompt its virtual ids and where they go.
        anatomy: the parts of the backbone.
    """

    def __init__(
        self, backbone: nn.Module, tokenizer: Any, producers: Mapping[str, Producer], *, dropout: bool
    ) -> None:
        """See `softprompt.attach`."""
        anatomy = read_anatomy(backbone)
        super().__init__(backbone, dropout=dropout)
        self.anatomy: Anatomy = anatomy
        self.tokenizer = tokenizer
        self.names: list[str] = []
        self.slots: list[Slots] = []
        self._joined = False
        self._next_id = self.anatomy.vocab_size
        self._sites = Hooks(self.anatomy).around
        self._around = self._sites
        self._stand_ins: Mapping[nn.Module, StandIn] = {}
        self._gate = Gate()
        try:
            self._ask(self._asking())
            for name, producer in producers.items():
                self.add(name, producer)
        except BaseException:
            self.detach()
            raise
        self.train(False)

    def add(self, name: str, producer: Producer) -> None:
        """Attach one more prompt under a name of its own, once no call of this attached model runs.

        Raises:
            SoftPromptError: the name is taken, the family cannot serve the site, the prompt has no room, or a call is
                open here.
        """
        with self._gate.changing(f"attach {name!r}"):
            self._add(name, producer)

    def _add(self, name: str, producer: Producer) -> None:
        if name in self.names:
            raise SoftPromptError(
                f"a prompt named {name!r} is attached already: choose another name or remove it first"
            )
        if hasattr(producer, "install"):
            raise SoftPromptError(
                f"{type(producer).__name__} changes the model in `install`, which is no longer called: give what "
                "stands in for its weights in `stand_ins`"
            )
        if self._producers and any(_changes_weights(one) for one in (producer, *self._producers)):
            raise SoftPromptError("a weight-side method changes the model for every row: attach it alone")
        own = producer.footprint
        if own.joins:
            self.anatomy.require_site("attention")
        if own.decoder_prefix or own.cross_prefix:
            self.anatomy.require_decoder()
        if own.count:
            self.anatomy.require_site("hidden" if own.hidden_layers else "stream")
        shift = own.shift or not self.anatomy.absolute or self.anatomy.kind == "causal"
        prefix = own.prefix if shift else 0
        taken, limit = own.count + prefix, self.anatomy.max_positions
        if limit is not None and taken >= limit:
            raise SoftPromptError(
                f"prompt {name!r} takes {taken} positions, but the backbone ({self.anatomy.family}) has {limit}: "
                "lower num_virtual_tokens"
            )
        if (own.joins or self._shares_prefix(own)) and not self._joined:
            part = self.anatomy
            with changing():
                self._undo.append(join_in(part.body, *([] if part.decoder is None else [part.decoder])))
            self._joined = True
        stand_ins = producer.stand_ins(self.backbone)
        self._ask({module: frozenset(one.tensors) for module, one in stand_ins.items()})
        self._stand_in(stand_ins)
        self.prompts.append(producer)
        self.names.append(name)
        self.slots.append(Slots(self._next_id, own.count, own.placement, shift, prefix))
        self._next_id += own.count

    def remove(self, name: str) -> Producer:
        """Take one prompt away and return it, once no call of this attached model runs.

        The others keep their virtual ids.

        Raises:
            SoftPromptError: no such prompt, or a call is open here.
        """
        with self._gate.changing(f"remove {name!r}"):
            index = self._index(name)
            producer = self._producers[index]
            del self.prompts[index], self.names[index], self.slots[index]
            self._stand_in({})  # a weight-side method stood alone
        return producer

    def _stand_in(self, stand_ins: Mapping[nn.Module, StandIn]) -> None:
        layers = {module: one.layer for module, one in stand_ins.items() if one.layer is not None}
        self._stand_ins, self._around = stand_ins, {**self._sites, **layers}

    def detach(self) -> nn.Module:
        """Give the model back, once no call of this attached model runs.

        Its attention and its gradient, training and checkpointing flags are as they were, unless other attached models
        need them: then the last of these gives them back, whatever the order.

        Raises:
            SoftPromptError: a call is open here.
        """
        with self._gate.changing("detach"):
            self._gate.closed = True
            with changing():
                let_all_go(self._undo)
        return self.backbone

    def _asking(self) -> dict[nn.Module, frozenset[str]]:
        """The modules that ask the open call: those of the sites, the head, and those whose training flag it gives."""
        head = getattr(self.backbone, "get_output_embeddings", lambda: None)()
        asking = dict.fromkeys((self.backbone, *self._sites, *([] if head is None else [head])), frozenset[str]())
        trains = self._frozen.modules if self._dropout else self._frozen.layers
        return {**asking, **dict.fromkeys(trains, frozenset({TRAINING}))}

    def _ask(self, modules: Mapping[nn.Module, frozenset[str]]) -> None:
        with changing():
            self._undo.append(ask(modules))

    def __deepcopy__(self, memo: dict[int, Any]) -> PromptedModel:
        """A copy of the prompts, attached to a copy of the backbone, in the same modes."""
        with self._gate.changing("copy it"):
            backbone = copy.deepcopy(self.backbone, memo)
            producers = {name: copy.deepcopy(one, memo) for name, one in zip(self.names, self._producers, strict=True)}
        made = type(self)(backbone, self.tokenizer, producers, dropout=self._dropout)
        memo[id(self)] = made
        made.training = self.training
        return made

    def __enter__(self) -> PromptedModel:
        return self

    def __exit__(self, *_: object) -> None:
        self.detach()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Open a call, so that whatever `forward` stands here finds the prompts at work: see `forward`.

        Trainers put functions of their own in the place of `forward` that run the body and the head by themselves.
        """
        prompts, select = kwargs.pop("prompts", None), kwargs.pop("positions", None)
        conditioning = kwargs.pop("conditioning_mask", None)
        given = {**dict(zip(argument_names(self.backbone), args, strict=False)), **kwargs}
        as_tuple = given.get("return_dict") is False
        if as_tuple:
            given["return_dict"] = True
        with self._gate.passing():
            output = self._called(given, prompts, conditioning, select)
        return output.to_tuple() if as_tuple else output

    def _called(self, given: dict[str, Any], prompts: Rows, conditioning: Tensor | None, select: Tensor | None) -> Any:
        rows = self.rows(prompts, _batch(given))
        self._check(given, rows, select)
        with self.calling(rows, self._unlabelled(given) if conditioning is None else conditioning, select) as call:
            output = super().__call__(**given)
        return user_length(output, call, encoder_decoder=self.anatomy.kind == "encoder-decoder")

    def forward(
        self,
        *args: Any,
        prompts: Rows = None,
        conditioning_mask: Tensor | None = None,
        positions: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """The model's own forward, with each row's prompt.

        Args:
            *args: as the model takes them.
            prompts: a prompt's name for all rows, or one name or index a row. May be left out where one prompt is
                attached.
            conditioning_mask: bool, `(batch, tokens)`: tokens that may condition an instance-aware prompt; by default
                every token that is seen and has no label.
            positions: `(batch, selected)`: columns whose logits are wanted; logits then have shape
                `(batch, selected, V)`.
            **kwargs: as the model takes them.

        Returns:
            The model's own output, its tensors of the user's length.

        Raises:
            SoftPromptError: the prompts are detached, or the arguments leave them no place.
        """
        if not self.is_running:
            return self(*args, prompts=prompts, conditioning_mask=conditioning_mask, positions=positions, **kwargs)
        return self.backbone(*args, **kwargs)

    def states(
        self,
        *,
        prompts: Rows = None,
        conditioning_mask: Tensor | None = None,
        positions: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Last states of the body (an encoder-decoder's encoder), without a head: `(batch, tokens or selected, H)`."""
        with self._gate.passing():
            rows = self.rows(prompts, _batch(kwargs))
            with self.calling(rows, conditioning_mask, positions) as call:
                states: Tensor = self.anatomy.body(**kwargs).last_hidden_state
        if self.anatomy.kind == "encoder-decoder":
            states = states if call.keep is None else gather(states, call.keep)
            return states if positions is None else gather(states, positions)
        return states if positions is None else states.view(*positions.shape, -1)

    def generate(self, inputs: Tensor | None = None, *, prompts: Rows = None, **kwargs: Any) -> Any:
        """The model's own `generate`; sequences come back without virtual tokens (see `attached/generation.py`)."""
        with self._gate.passing():
            return generate(self, inputs, prompts, **kwargs)

    def encode(self, texts: str | Sequence[str], **kwargs: Any) -> Any:
        """Tokenise texts into a padded batch on the model's device; causal models are padded on the left.

        Args:
            texts: one text or several.
            **kwargs: passed to the tokenizer.
        """
        side = {"padding_side": "left"} if self.anatomy.kind == "causal" else {}
        options = {"padding": True, "return_tensors": "pt", **side, **kwargs}
        batch = tokenise(self.tokenizer, [texts] if isinstance(texts, str) else list(texts), **options)
        return batch.to(next(self.backbone.parameters()).device)

    def rows(self, prompts: Rows, batch: int) -> tuple[int, ...]:
        """The index of each row's prompt.

        Raises:
            SoftPromptError: an unknown name, a wrong number of rows, or none named while several are attached.
        """
        if prompts is None:
            if len(self.names) != 1:
                raise SoftPromptError(
                    f"{len(self.names)} prompts are attached ({', '.join(self.names)}): say which with prompts=..."
                )
            return (0,) * batch
        if isinstance(prompts, str):
            return (self._index(prompts),) * batch
        given: list[Any] = prompts.tolist() if isinstance(prompts, Tensor) else list(prompts)
        if len(given) != batch:
            raise SoftPromptError(f"`prompts` names {len(given)} rows, but the batch has {batch}")
        return tuple(self._index(row) for row in given)

    @contextmanager
    def calling(
        self,
        rows: tuple[int, ...],
        conditioning: Tensor | None = None,
        select: Tensor | None = None,
        *,
        inserting: bool = True,
        around: Mapping[nn.Module, Around] | None = None,
    ) -> Iterator[Call]:
        """Let the prompts work in the calls of the backbone inside the block, in this thread or task alone.

        Args:
            rows: the prompt of each row.
            conditioning: columns that may condition a prompt, bool, `(batch, tokens)`, or None for all.
            select: columns whose states the head shall see, `(batch, selected)`, or None for all.
            inserting: whether the virtual tokens still have to be put into the ids.
            around: what else works around modules of the backbone that are asked, such as its head.

        Raises:
            SoftPromptError: the prompts are detached, a call of this attached model is open here already, or the
                backbone was changed so that they no longer fit.
        """
        if self.is_running:
            raise SoftPromptError("the attached model is running already: one call cannot stand inside another")
        with self._gate.passing():
            self._still_fits()
            producers = tuple(self._producers)
            call = Call(
                owner=self,
                producers=producers,
                footprints=tuple(one.footprint for one in producers),
                slots=tuple(self.slots),
                rows=rows,
                around=self._around if around is None else {**self._around, **around},
                stand_ins=self._stand_ins,
                training=self.training,
                dropout=self.training and self._dropout,
                inserting=inserting,
                join=Join(producers, rows),
                conditioning=conditioning,
                select=select,
                states_below=_recorded_of(self),
            )
            with opened(call):
                yield call

    @property
    def is_running(self) -> bool:
        """Whether a call of this attached model is open here, in this thread or task."""
        call = current()
        return call is not None and call.owner is self

    def _still_fits(self) -> None:
        """See that the backbone is as the prompts found it, as far as that could be silently wrong.

        Raises:
            SoftPromptError: it is not.
        """
        if torch.compiler.is_compiling():
            return
        if self.training:
            self._frozen.recompute_in_calls()
        if compiles_calls(self.backbone) or compiles_calls(self.anatomy.body):
            raise SoftPromptError("the backbone was compiled while prompts are attached: compile the attached model")
        weight: Any = self.anatomy.embedding.weight
        if weight.shape[0] != self.anatomy.vocab_size:
            raise SoftPromptError(
                f"the backbone's vocabulary was resized from {self.anatomy.vocab_size} to {weight.shape[0]} since the "
                "prompts were attached: attach again"
            )

    @property
    def first_layer(self) -> int:
        """No state below this layer depends on what is trained; 0 where the family cannot leave layers out."""
        return (
            min((one.footprint.first_layer for one in self._producers), default=0)
            if can_skip_layers(self.anatomy)
            else 0
        )

    @contextmanager
    def starting_at_layer(self, rows: Sequence[Tensor] | None = None) -> Iterator[RecordedStates]:
        """Let the calls of the block begin at `first_layer`: with given states, or to record them.

        Args:
            rows: of each row of the batch the states of its own columns that enter the layer, `(T_i, H)`; None for
                whole passes that record them.
        """
        states_below = RecordedStates(self.first_layer, rows)
        token = _RECORDED.set((self, states_below))
        try:
            yield states_below
        finally:
            _RECORDED.reset(token)

    def _shares_prefix(self, footprint: Footprint) -> bool:
        """Whether attention may run a batch as one row for this prompt (`sites/prefix_sharing.py`)."""
        config: Any = self.anatomy.body.config
        served = self.anatomy.kind == "causal" and self.anatomy.has_open_attention
        return served and own_implementation(config) == "sdpa" and can_share(footprint)

    def _index(self, row: str | int) -> int:
        if isinstance(row, str):
            if row not in self.names:
                raise SoftPromptError(f"no prompt named {row!r} is attached: choose from {', '.join(self.names)}")
            return self.names.index(row)
        if not 0 <= int(row) < len(self.names):
            raise SoftPromptError(f"prompt index {row} is out of range: {len(self.names)} prompts are attached")
        return int(row)

    def _check(self, given: Mapping[str, Any], rows: tuple[int, ...], select: Tensor | None) -> None:
        """Refuse what would be silently wrong."""
        footprints = [self._producers[row].footprint for row in set(rows)]
        if given.get("encoder_outputs") is not None and any(one.count or one.prefix for one in footprints):
            raise SoftPromptError("encoder_outputs hold no virtual tokens and no prefix: pass input_ids")
        if select is not None and given.get("labels") is not None:
            raise SoftPromptError("`positions` selects logits, the labels are for all columns: leave one of them out")

    def _unlabelled(self, given: Mapping[str, Any]) -> Tensor | None:
        """Answer tokens must not condition a prompt (teacher forcing would leak them)."""
        ids, labels = given.get("input_ids"), given.get("labels")
        if self.anatomy.kind != "causal" or labels is None or ids is None or labels.shape != ids.shape:
            return None
        return labels == -100  # type: ignore[no-any-return]


_RECORDED: ContextVar[tuple[PromptedModel, RecordedStates] | None] = ContextVar("softprompt_below", default=None)


def _recorded_of(model: PromptedModel) -> RecordedStates | None:
    found = None if torch.compiler.is_compiling() else _RECORDED.get()
    return found[1] if found is not None and found[0] is model else None


def _changes_weights(producer: Producer) -> bool:
    return type(producer).stand_ins is not Producer.stand_ins


def _batch(given: Mapping[str, Any]) -> int:
    for name in ("input_ids", "inputs_embeds", "decoder_input_ids", "labels"):
        if given.get(name) is not None:
            return int(given[name].shape[0])
    raise SoftPromptError("the attached model was called without input_ids")
