"""The attached model: the user's own model, with prompts at its sites while they are attached."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from softprompt.errors import SoftPromptError
from softprompt.generation import generate
from softprompt.sites.anatomy import Anatomy, read_anatomy
from softprompt.sites.attention import KEYWORD, Join, served_name
from softprompt.sites.call import Call, begin, cross_mask
from softprompt.sites.hidden import rewrite
from softprompt.sites.layout import Slots
from softprompt.sites.producer import Producer
from softprompt.sites.stream import mask_virtual, resolve

Rows = str | Sequence[str] | Sequence[int] | Tensor | None


class PromptedModel(nn.Module):
    """A frozen model that reads virtual tokens.

    A plain module with the model's own forward signature and outputs of the user's own length. Three keyword arguments come on
    top: `prompts` (which prompt each row takes: a name, or a name or an index a row), `conditioning_mask` (bool,
    `(batch, tokens)`: the tokens that may condition an instance-aware prompt) and `positions` (`(batch, selected)`: compute
    the head at these columns only).

    Only the prompts' parameters require gradient, and `state_dict` holds them alone, so a checkpoint is as small as the prompt.
    Use `softprompt.attach` to make one, and `detach` or a `with` block to give the model back as it was.

    Attributes:
        backbone: the user's model.
        prompts: the producers, in the order of `names`.
        names: the names of the attached prompts.
    """

    def __init__(self, backbone: nn.Module, tokenizer: Any, producers: Mapping[str, Producer], *, dropout: bool) -> None:
        """See `softprompt.attach`."""
        super().__init__()
        if getattr(backbone, "_softprompt_attached", False):
            raise SoftPromptError("the model has prompts attached already: detach them, or attach all in one call")
        self.anatomy: Anatomy = read_anatomy(backbone)
        self.backbone = backbone
        self.tokenizer = tokenizer
        self.dropout = dropout
        self.prompts: nn.ModuleList = nn.ModuleList()
        self.names: list[str] = []
        self.slots: list[Slots] = []
        self._call: Call | None = None
        self._handles: list[Any] = []
        self._freeze()
        try:
            for name, producer in producers.items():
                self.add(name, producer)
            self._hook()
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
            raise SoftPromptError(f"a prompt named {name!r} is attached already: choose another name or remove it first")
        if producer.prefix:
            self.anatomy.require_site("attention")
            self._join_attention()
        if producer.count:
            self.anatomy.require_site("hidden" if producer.hidden_layers else "stream")
        limit = self.anatomy.max_positions
        if limit is not None and producer.count + producer.prefix >= limit:
            raise SoftPromptError(
                f"prompt {name!r} takes {producer.count + producer.prefix} positions, but the backbone "
                f"({self.anatomy.family}) has {limit}: lower num_virtual_tokens"
            )
        producer.install(self.backbone)
        self.prompts.append(producer)
        self.names.append(name)
        self._number()

    def remove(self, name: str) -> Producer:
        """Take one prompt away and return it."""
        index = self._index(name)
        producer = self.prompts[index]
        assert isinstance(producer, Producer)
        producer.uninstall(self.backbone)
        del self.prompts[index]
        del self.names[index]
        self._number()
        return producer

    def detach(self) -> nn.Module:
        """Give the model back: hooks, attention implementation, gradient and training flags as they were."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        for producer in self._producers:
            producer.uninstall(self.backbone)
        for parameter, requires_grad in self._grad_flags:
            parameter.requires_grad_(requires_grad)
        for module, training in self._training_flags:
            module.training = training
        if self._attention is not None:
            self.backbone.set_attn_implementation(self._attention)  # type: ignore[operator]
            self._attention = None
        self.backbone.__dict__.pop("_softprompt_attached", None)
        return self.backbone

    def __enter__(self) -> PromptedModel:
        return self

    def __exit__(self, *_: object) -> None:
        self.detach()

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
            prompts: a prompt's name for all rows, or one name or index a row. May be left out where one prompt is attached.
            conditioning_mask: bool, `(batch, tokens)`: tokens that may condition an instance-aware prompt; by default every
                token that is seen and has no label.
            positions: `(batch, selected)`: columns whose logits are wanted; logits then have shape `(batch, selected, V)`.
            **kwargs: as the model takes them.

        Returns:
            The model's own output, its tensors of the user's length.
        """
        given = {**dict(zip(self._argument_names, args, strict=False)), **kwargs}
        if conditioning_mask is None:
            conditioning_mask = self._unlabelled(given)
        with self.calling(self.rows(prompts, _batch(given)), conditioning_mask, positions) as call:
            output = self.backbone(**given)
        return self._user_length(output, call)

    def states(
        self, *, prompts: Rows = None, conditioning_mask: Tensor | None = None, positions: Tensor | None = None, **kwargs: Any
    ) -> Tensor:
        """Last hidden states of the body (an encoder-decoder's encoder), without a head: `(batch, tokens or selected, H)`."""
        rows = self.rows(prompts, _batch(kwargs))
        with self.calling(rows, conditioning_mask, positions) as call:
            states: Tensor = self.anatomy.body(**kwargs).last_hidden_state
        if self.anatomy.kind == "encoder-decoder":
            keep = call.layout.keep if call.layout is not None else None
            states = states if keep is None else _gather(states, keep)
            return states if positions is None else _gather(states, positions)
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
        given = prompts.tolist() if isinstance(prompts, Tensor) else list(prompts)
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
        """Let the hooks work for one call of the backbone."""
        if self._call is not None:
            raise SoftPromptError("the attached model is running already: one call at a time")
        self._call = Call(rows, inserting, Join(self._producers, rows), conditioning, select)
        try:
            yield self._call
        finally:
            self._call = None

    def train(self, mode: bool = True) -> PromptedModel:
        """Training mode for the prompts; the frozen backbone's dropout stays off unless `dropout=True` was asked for.

        Layers that checkpoint gradients must believe that they train, so their own flag (not their children's) is set.
        """
        super().train(mode)
        if not self.dropout:
            self.backbone.train(False)
            for module in self.backbone.modules():
                if getattr(module, "gradient_checkpointing", False) and isinstance(module, GradientCheckpointingLayer):
                    module.training = mode
        return self

    def state_dict(self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> Any:
        """The prompts' parameters alone."""
        return self.prompts.state_dict(
            *args, destination=destination, prefix=f"{prefix}prompts.", keep_vars=keep_vars
        )

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Take what `state_dict` gave."""
        own = {key.removeprefix("prompts."): value for key, value in state_dict.items()}
        return self.prompts.load_state_dict(own, strict=strict, assign=assign)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("backbone"), name)

    @property
    def _producers(self) -> list[Producer]:
        return list(self.prompts)  # type: ignore[arg-type]

    def _index(self, row: str | int) -> int:
        if isinstance(row, str):
            if row not in self.names:
                raise SoftPromptError(f"no prompt named {row!r} is attached: choose from {', '.join(self.names)}")
            return self.names.index(row)
        if not 0 <= int(row) < len(self.names):
            raise SoftPromptError(f"prompt index {row} is out of range: {len(self.names)} prompts are attached")
        return int(row)

    def _number(self) -> None:
        """Give every prompt its range of virtual ids, from the vocabulary's end upwards."""
        self.slots, base = [], self.anatomy.vocab_size
        for producer in self._producers:
            shift = producer.shift or not (self.anatomy.absolute and self.anatomy.kind != "causal")
            self.slots.append(Slots(base, producer.count, producer.placement, shift, producer.prefix))
            base += producer.count

    def _freeze(self) -> None:
        self._attention: str | None = None
        self._grad_flags = [(p, p.requires_grad) for p in self.backbone.parameters()]
        self._training_flags = [(module, module.training) for module in self.backbone.modules()]
        for parameter, _ in self._grad_flags:
            parameter.requires_grad_(False)
        self.backbone.__dict__["_softprompt_attached"] = True

    def _join_attention(self) -> None:
        if self._attention is None:
            implementation: str = self.backbone.config._attn_implementation  # type: ignore[union-attr]
            name = served_name(implementation)
            self.backbone.set_attn_implementation(name)  # type: ignore[operator]
            self._attention = implementation

    def _hook(self) -> None:
        part = self.anatomy
        keep = self._handles.append
        body_names = _names(part.body)
        keep(part.body.register_forward_pre_hook(partial(self._on_body, body_names), with_kwargs=True))
        keep(part.embedding.register_forward_pre_hook(self._on_ids))
        keep(part.embedding.register_forward_hook(self._on_embedded))
        if part.positions is not None:
            keep(part.positions.register_forward_pre_hook(self._on_positions, with_kwargs=True))
            keep(part.positions.register_forward_hook(lambda module, args, output: output[0] if output.ndim == 4 else output))
        for layer in dict.fromkeys(part.layers):
            order = [index for index, other in enumerate(part.layers) if other is layer]
            keep(layer.register_forward_pre_hook(partial(self._on_layer, order), with_kwargs=True))
        if part.decoder is not None:
            names = _names(part.decoder)
            keep(part.decoder.register_forward_pre_hook(partial(self._on_decoder, names), with_kwargs=True))
            keep(part.decoder.register_forward_hook(self._on_decoded))
        else:
            keep(part.stack.register_forward_hook(self._on_states))

    def _on_body(self, names: list[str], module: nn.Module, args: Any, kwargs: Any) -> Any:
        if self._call is None:
            return None
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        return (), begin(self._call, self.anatomy, self.slots, given)

    def _on_ids(self, module: nn.Module, args: Any) -> Any:
        call = self._call
        if call is None or call.layout is None or call.resolved or not call.layout.groups:
            return None
        return (mask_virtual(args[0], self.anatomy.vocab_size), *args[1:])

    def _on_embedded(self, module: nn.Module, args: Any, output: Tensor) -> Any:
        call = self._call
        if call is None or call.layout is None or call.resolved or not call.layout.groups:
            return None
        call.resolved = True
        return resolve(output, call.layout.groups, self._producers)

    def _on_positions(self, module: nn.Module, args: Any, kwargs: Any) -> Any:
        if self._call is None or self._call.layout is None or self._call.layout.positions is None:
            return None
        return args, {**kwargs, "position_ids": self._call.layout.positions}

    def _on_layer(self, order: list[int], module: nn.Module, args: Any, kwargs: Any) -> Any:
        call = self._call
        if call is None:
            return None
        layer = order[call.calls.get(id(module), 0) % len(order)]
        call.calls[id(module)] = call.calls.get(id(module), 0) + 1
        by_position = bool(args)
        states: Tensor = args[0] if by_position else kwargs["hidden_states"]
        prefix = call.join.of_layer(layer, self.anatomy.attentions[layer], states.shape[0], states.dtype)
        if prefix is not None:
            kwargs = {**kwargs, KEYWORD: prefix}
        if call.layout is not None:
            states = rewrite(states, layer, call.layout.groups, self._producers)
        return ((states, *args[1:]), kwargs) if by_position else (args, {**kwargs, "hidden_states": states})

    def _on_states(self, module: nn.Module, args: Any, output: Any) -> Any:
        call = self._call
        if call is None or (call.select is None and (call.layout is None or call.layout.keep is None)):
            return None
        keep = call.layout.keep if call.layout is not None else None
        return _with_states(output, _selected(_first(output), keep, call.select))

    def _on_decoder(self, names: list[str], module: nn.Module, args: Any, kwargs: Any) -> Any:
        call = self._call
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        states = given.get("encoder_hidden_states")
        if call is None or states is None:
            return None
        mask = cross_mask(call, self.slots, self._producers, given.get("encoder_attention_mask"), states)
        return (), {**given, "encoder_attention_mask": mask}

    def _on_decoded(self, module: nn.Module, args: Any, output: Any) -> Any:
        call = self._call
        if call is None or call.select is None:
            return None
        return _with_states(output, _selected(_first(output), None, call.select))

    def _unlabelled(self, given: Mapping[str, Any]) -> Tensor | None:
        """Answer tokens must not condition a prompt (teacher forcing would leak them)."""
        ids, labels = given.get("input_ids"), given.get("labels")
        if self.anatomy.kind != "causal" or labels is None or ids is None or labels.shape != ids.shape:
            return None
        return labels == -100

    def _user_length(self, output: Any, call: Call) -> Any:
        keep = call.layout.keep if call.layout is not None else None
        if keep is not None and hasattr(output, "keys"):
            total = keep.shape[1] + max(self.slots[row].count for row in call.rows)
            for name in ("hidden_states", "encoder_hidden_states"):
                if output.get(name) is not None and (name != "hidden_states" or self.anatomy.kind != "encoder-decoder"):
                    cut = [_gather(s, keep) if s.shape[1] == total else s for s in output[name]]
                    output[name] = tuple(cut)
            if output.get("encoder_last_hidden_state") is not None:
                output["encoder_last_hidden_state"] = _gather(output["encoder_last_hidden_state"], keep)
        if call.select is not None and hasattr(output, "logits"):
            output.logits = output.logits.view(*call.select.shape, -1)
        return output

    @property
    def _argument_names(self) -> list[str]:
        return _names(self.backbone)


def attached_class(model: nn.Module) -> type[PromptedModel]:
    """A `PromptedModel` whose `forward` shows the model's own signature, as trainers read columns and labels from it."""
    own = inspect.signature(type(model).forward)
    ours = inspect.signature(PromptedModel.forward).parameters
    extra = [ours[name] for name in ("prompts", "conditioning_mask", "positions")]
    listed = [p for p in own.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD and p.name not in ours]
    rest = [p for p in own.parameters.values() if p.kind is inspect.Parameter.VAR_KEYWORD]
    self_parameter = own.parameters["self"]

    def forward(self: PromptedModel, *args: Any, **kwargs: Any) -> Any:
        return PromptedModel.forward(self, *args, **kwargs)

    forward.__signature__ = own.replace(  # type: ignore[attr-defined]
        parameters=[self_parameter, *(p for p in listed if p.name != "self"), *extra, *rest]
    )
    forward.__doc__ = PromptedModel.forward.__doc__
    return type(f"Prompted{type(model).__name__}", (PromptedModel,), {"forward": forward})


def _names(module: nn.Module) -> list[str]:
    return [name for name in inspect.signature(module.forward).parameters]


def _batch(given: Mapping[str, Any]) -> int:
    for name in ("input_ids", "inputs_embeds", "decoder_input_ids", "labels"):
        if given.get(name) is not None:
            return int(given[name].shape[0])
    raise SoftPromptError("the attached model was called without input_ids")


def _first(output: Any) -> Tensor:
    states: Tensor = output[0]
    return states


def _gather(states: Tensor, columns: Tensor) -> Tensor:
    """States `(B, T, H)` at columns `(B, N)`: shape `(B, N, H)`."""
    return states.gather(1, columns[..., None].expand(-1, -1, states.shape[-1]))


def _selected(states: Tensor, keep: Tensor | None, select: Tensor | None) -> Tensor:
    """States at the user's columns, or at the selected ones as one contiguous row `(1, B * S, H)`.

    One row: a product of a sliced 3-D matrix copies the head's weight once a row in bf16 on the CPU.
    """
    if select is None:
        assert keep is not None
        return _gather(states, keep)
    columns = select if keep is None else keep.gather(1, select)
    return _gather(states, columns).reshape(1, -1, states.shape[-1])


def _with_states(output: Any, states: Tensor) -> Any:
    if isinstance(output, tuple):
        return (states, *output[1:])
    output.last_hidden_state = states
    return output
