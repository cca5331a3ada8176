"""The attached model: the user's own model, with prompts at its sites while they are attached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from softprompt.errors import SoftPromptError
from softprompt.generation import generate
from softprompt.sites.anatomy import Anatomy, read_anatomy
from softprompt.sites.attention import Join, join_in
from softprompt.sites.below import Below, can_begin, left_out
from softprompt.sites.call import Call
from softprompt.sites.hooks import Hooks, argument_names, gather, user_length
from softprompt.sites.layout import Slots
from softprompt.sites.producer import Producer
from softprompt.sites.shared import can_lend
from softprompt.wrapper import Wrapper

Rows = str | Sequence[str] | Sequence[int] | Tensor | None


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
        if backbone.__dict__.get("_softprompt_attached"):
            raise SoftPromptError("the model has prompts attached already: detach them, or attach all in one call")
        anatomy = read_anatomy(backbone)
        super().__init__(backbone, dropout=dropout)
        self.anatomy: Anatomy = anatomy
        self.tokenizer = tokenizer
        self.names: list[str] = []
        self.slots: list[Slots] = []
        self._attention: str | None = None
        self._below: Below | None = None
        self._next_id = self.anatomy.vocab_size
        self._hooks = Hooks(self.anatomy, self.prompts, self.slots)
        self._attached = backbone.__dict__["_softprompt_attached"] = True
        try:
            for name, producer in producers.items():
                self.add(name, producer)
        except BaseException:
            self.detach()
            raise
        self.train(False)

    def add(self, name: str, producer: Producer) -> None:
        """Attach one more prompt under a name of its own.

        Raises:
            SoftPromptError: the name is taken, the family cannot serve the site, or the prompt has no room.
        """
        if name in self.names:
            raise SoftPromptError(
                f"a prompt named {name!r} is attached already: choose another name or remove it first"
            )
        if self._producers and any(_changes_weights(one) for one in (producer, *self._producers)):
            raise SoftPromptError("a weight-side method changes the model for every row: attach it alone")
        if producer.joins:
            self.anatomy.require_site("attention")
        if producer.decoder_prefix or producer.cross_prefix:
            self.anatomy.require_decoder()
        if producer.count:
            self.anatomy.require_site("hidden" if producer.hidden_layers else "stream")
        shift = producer.shift or not self.anatomy.absolute or self.anatomy.kind == "causal"
        prefix = producer.prefix if shift else 0
        taken, limit = producer.count + prefix, self.anatomy.max_positions
        if limit is not None and taken >= limit:
            raise SoftPromptError(
                f"prompt {name!r} takes {taken} positions, but the backbone ({self.anatomy.family}) has {limit}: "
                "lower num_virtual_tokens"
            )
        if (producer.joins or self._lends(producer)) and self._attention is None:
            self._attention = join_in(self.backbone)
        producer.install(self.backbone)
        self.prompts.append(producer)
        self.names.append(name)
        self.slots.append(Slots(self._next_id, producer.count, producer.placement, shift, prefix))
        self._next_id += producer.count

    def remove(self, name: str) -> Producer:
        """Take one prompt away and return it; the others keep their virtual ids."""
        index = self._index(name)
        producer = self.prompts[index]
        assert isinstance(producer, Producer)
        producer.uninstall(self.backbone)
        del self.prompts[index], self.names[index], self.slots[index]
        return producer

    def detach(self) -> nn.Module:
        """Give the model back: hooks, attention, gradient, training and checkpointing flags as they were."""
        if not self._attached:
            return self.backbone
        self._attached = False
        self._hooks.remove()
        for producer in self._producers:
            producer.uninstall(self.backbone)
        if self._attention is not None:
            self.backbone.set_attn_implementation(self._attention)  # type: ignore[operator]
        self._frozen.restore()
        del self.backbone.__dict__["_softprompt_attached"]
        return self.backbone

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
        rows = self.rows(prompts, _batch(given))
        self._check(given, rows, select)
        as_tuple = given.get("return_dict") is False
        if as_tuple:
            given["return_dict"] = True
        with self.calling(rows, self._unlabelled(given) if conditioning is None else conditioning, select) as call:
            output = super().__call__(**given)
        output = user_length(output, call, self.slots, encoder_decoder=self.anatomy.kind == "encoder-decoder")
        return output.to_tuple() if as_tuple else output

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
        if self._hooks.call is None:
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
        rows = self.rows(prompts, _batch(kwargs))
        with self.calling(rows, conditioning_mask, positions) as call:
            states: Tensor = self.anatomy.body(**kwargs).last_hidden_state
        if self.anatomy.kind == "encoder-decoder":
            states = states if call.keep is None else gather(states, call.keep)
            return states if positions is None else gather(states, positions)
        return states if positions is None else states.view(*positions.shape, -1)

    def generate(self, inputs: Tensor | None = None, *, prompts: Rows = None, **kwargs: Any) -> Any:
        """The model's own `generate`; sequences come back without virtual tokens. See `softprompt.generation`."""
        return generate(self, inputs, prompts, **kwargs)

    def encode(self, texts: str | Sequence[str], **kwargs: Any) -> Any:
        """Tokenise texts into a padded batch on the model's device; causal models are padded on the left.

        Args:
            texts: one text or several.
            **kwargs: passed to the tokenizer.
        """
        side = {"padding_side": "left"} if self.anatomy.kind == "causal" else {}
        options = {"padding": True, "return_tensors": "pt", **side, **kwargs}
        batch = self.tokenizer([texts] if isinstance(texts, str) else list(texts), **options)
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
    ) -> Iterator[Call]:
        """Let the hooks work for one call of the backbone.

        Raises:
            SoftPromptError: the prompts are detached, or a call is open already.
        """
        if not self._attached:
            raise SoftPromptError("the prompts are detached from this model: attach them again to use them")
        if self._hooks.call is not None:
            raise SoftPromptError("the attached model is running already: one call at a time")
        call = self._hooks.call = Call(rows, inserting, Join(self._producers, rows), conditioning, select)
        call.below = self._below
        try:
            yield call
        finally:
            self._hooks.call = None

    @property
    def first_layer(self) -> int:
        """No state below this layer depends on what is trained; 0 where the family cannot leave layers out."""
        return min((one.first_layer for one in self._producers), default=0) if can_begin(self.anatomy) else 0

    @contextmanager
    def beginning(self, rows: Sequence[Tensor] | None = None) -> Iterator[Below]:
        """Let the calls of the block begin at `first_layer`: with given states, or to record them.

        Args:
            rows: of each row of the batch the states of its own columns that enter the layer, `(T_i, H)`; None for
                whole passes that record them.
        """
        self._below = below = Below(self.first_layer, rows)
        try:
            with left_out(self.anatomy.layers[: 0 if rows is None else below.layer]):
                yield below
        finally:
            self._below = None

    def _lends(self, producer: Producer) -> bool:
        """Whether attention may run a batch as one row for this prompt (`sites/shared.py`)."""
        config: Any = self.anatomy.body.config
        served = self.anatomy.kind == "causal" and self.anatomy.has_open_attention
        return served and config._attn_implementation == "sdpa" and can_lend(producer)

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
        in_encoder = any(self._producers[row].count or self._producers[row].prefix for row in rows)
        if given.get("encoder_outputs") is not None and in_encoder:
            raise SoftPromptError("encoder_outputs hold no virtual tokens and no prefix: pass input_ids")
        if select is not None and given.get("labels") is not None:
            raise SoftPromptError("`positions` selects logits, the labels are for all columns: leave one of them out")

    def _unlabelled(self, given: Mapping[str, Any]) -> Tensor | None:
        """Answer tokens must not condition a prompt (teacher forcing would leak them)."""
        ids, labels = given.get("input_ids"), given.get("labels")
        if self.anatomy.kind != "causal" or labels is None or ids is None or labels.shape != ids.shape:
            return None
        return labels == -100  # type: ignore[no-any-return]


def _changes_weights(producer: Producer) -> bool:
    return type(producer).install is not Producer.install


def _batch(given: Mapping[str, Any]) -> int:
    for name in ("input_ids", "inputs_embeds", "decoder_input_ids", "labels"):
        if given.get(name) is not None:
            return int(given[name].shape[0])
    raise SoftPromptError("the attached model was called without input_ids")
