"""The attached model: the user's own model, with prompts at its sites while they are attached."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import nullcontext, suppress

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from softprompt.attached.answering import Answering
from softprompt.attached.some_logits import SomeLogits
from softprompt.attached.unchanged import Unchanged
from softprompt.attached.wrapper import let_all_go
from softprompt.backbones.anatomy import Anatomy, read_anatomy
from softprompt.backbones.resting import device_of
from softprompt.backbones.within import language_model
from softprompt.errors import SoftPromptError
from softprompt.sites.asking import FORWARD, TRAINING, Around, Beneath, ask
from softprompt.sites.attention import join_in, own_implementation
from softprompt.sites.forward_call import Call
from softprompt.sites.gate import Gate
from softprompt.sites.held import changing
from softprompt.sites.hooks import Hooks, argument_names
from softprompt.sites.layout import Slots
from softprompt.sites.one_row_trial import comes_out_alike
from softprompt.sites.outputs import user_length
from softprompt.sites.padding import moving_sides
from softprompt.sites.prefix_sharing import why_rows_stay_apart
from softprompt.sites.producer import Producer, StandIn
from softprompt.sites.products import computing, leaves_to_onednn
from softprompt.sites.wrapped import changes_weights


class PromptedModel(Answering):
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
        self,
        backbone: nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        producers: Mapping[str, Producer],
        *,
        dropout: bool,
    ) -> None:
        """See `softprompt.attach`."""
        anatomy = read_anatomy(backbone)
        unchanged = Unchanged(backbone, anatomy, tokenizer)
        super().__init__(backbone, dropout=dropout)
        self.anatomy: Anatomy = anatomy
        self.tokenizer, self._unchanged = tokenizer, unchanged
        self.names: list[str] = []
        self.slots: list[Slots] = []
        self.sources: dict[str, object] = {}
        self._joined = False
        self._next_id = self.anatomy.vocab_size
        self._hooks = Hooks(self.anatomy)
        around = self._hooks.around
        inside = _inside(backbone, around, self.anatomy)
        self._around = self._sites = {backbone: _noting(backbone), **around, **inside}
        self._stand_ins: Mapping[nn.Module, StandIn] = {}
        self._gate, self._some_logits = Gate(), SomeLogits(backbone)
        try:
            self._ask(self._asking())
            self.moving = self._hooks.moving = moving_sides(self.anatomy, self._sites)
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
        if self._producers and any(changes_weights(one) for one in (producer, *self._producers)):
            raise SoftPromptError("a weight-side method changes the model for every row: attach it alone")
        own = producer.footprint
        if own.joins:
            self.anatomy.require_site("attention")
            self._hooks.carrier.look()
        if own.decoder_prefix or own.cross_prefix:
            self.anatomy.require_decoder()
        if own.count:
            self.anatomy.require_site("hidden" if own.hidden_layers else "stream")
        counted = self.anatomy.counts_columns
        moves = own.shift or self.anatomy.kind == "causal"
        shift = moves or counted or not self.anatomy.absolute
        prefix = own.prefix if moves and not counted else 0
        taken, limit = own.count + prefix, self.anatomy.max_positions
        if limit is not None and taken >= limit:
            raise SoftPromptError(
                f"prompt {name!r} takes {taken} positions, but the backbone ({self.anatomy.family}) has {limit}: "
                "lower num_virtual_tokens"
            )
        joins = not self._hooks.carrier.by_cache if own.joins else why_rows_stay_apart(self.anatomy) is None
        if joins or (self._writes_out() and not self._joined):
            self._join(needed=joins)
        stand_ins = producer.stand_ins(self.backbone)
        self._ask({module: frozenset(one.tensors) for module, one in stand_ins.items()})
        self._stand_in(stand_ins)
        self.prompts.append(producer)
        self.names.append(name)
        self.slots.append(Slots(self._next_id, own.count, own.placement, shift, prefix))
        self._next_id += own.count
        if own.prefix and self._hooks.carrier.by_cache:
            self.moving = self._hooks.moving = self.moving | moving_sides(self.anatomy, self._sites, past=True)

    def _join(self, *, needed: bool) -> None:
        """Let attention run through the twin, once; where nothing needs it, only if it can."""
        part = self.anatomy
        if not self._joined:
            with changing(), nullcontext() if needed else suppress(SoftPromptError):
                self._undo.append(join_in(part.body, *([] if part.decoder is None else [part.decoder])))
                self._joined = True
            if self._joined and part.kind == "encoder" and why_rows_stay_apart(part) is None:
                self._hooks.shares = comes_out_alike(part, self._sites)

    @property
    def takes_prefixes(self) -> bool:
        """See `Wrapper`."""
        if self._joined:
            self._hooks.carrier.look()
        return self._joined

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
            self.sources.pop(name, None)
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
        """The modules that ask the open call: sites, the head, and whose flag it gives or product it computes."""
        head = getattr(language_model(self.backbone) or self.backbone, "get_output_embeddings", lambda: None)()
        asking = dict.fromkeys((self.backbone, *self._sites, *([] if head is None else [head])), frozenset[str]())
        names = {module: frozenset({FORWARD}) for module in computing(self.backbone)}
        self._hooks.few_widths = bool(names) or leaves_to_onednn(self.backbone)
        for module in self._frozen.modules if self._dropout else self._frozen.layers:
            names[module] = names.get(module, frozenset()) | {TRAINING}
        return {**asking, **names}

    def _ask(self, modules: Mapping[nn.Module, frozenset[str]]) -> None:
        with changing():
            self._undo.append(ask(modules))

    def __deepcopy__(self, memo: dict[int, object]) -> PromptedModel:
        """A copy of the prompts, attached to a copy of the backbone, in the same modes."""
        with self._gate.changing("copy it"):
            backbone = copy.deepcopy(self.backbone, memo)
            producers = {name: copy.deepcopy(one, memo) for name, one in zip(self.names, self._producers, strict=True)}
        made = type(self)(backbone, self.tokenizer, producers, dropout=self._dropout)
        memo[id(self)] = made
        made.training, made.was_trained, made.sources = self.training, self.was_trained, dict(self.sources)
        return made

    def __enter__(self) -> PromptedModel:
        return self

    def __exit__(self, *_: object) -> None:
        self.detach()

    def _writes_out(self) -> bool:
        """Whether attention may be quicker written out (`sites/written_attention.py`)."""
        part = self.anatomy
        served = part.body.dtype == torch.bfloat16 and device_of(part.body).type == "cpu" and part.has_open_attention
        return served and own_implementation(part.config) == "sdpa"


def _inside(backbone: nn.Module, sites: Mapping[nn.Module, Around], anatomy: Anatomy) -> dict[nn.Module, Around]:
    """What works around a language model in a user's class: its states have the user's length where the class is."""
    part = language_model(backbone)
    if part is None:
        return {}
    own, encoder_decoder = sites.get(part), anatomy.kind == "encoder-decoder"

    def call_it(call: Call, beneath: Beneath, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        output = beneath(*args, **kwargs) if own is None else own(call, beneath, args, kwargs)
        return user_length(output, call, encoder_decoder=encoder_decoder)

    return {part: call_it}


def _noting(backbone: nn.Module) -> Around:
    """Let the call know the mask that the model is given: FNet's does not hand it on to its body."""
    names = argument_names(backbone)

    def call_it(call: Call, beneath: Beneath, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        found = {**dict(zip(names, args, strict=False)), **kwargs}.get("attention_mask")
        call.mask = found if isinstance(found, Tensor) else None
        return beneath(*args, **kwargs)

    return call_it
