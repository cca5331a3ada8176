"""Where embeddings, layers, attention and heads live in each model family.

The rooms above never name a family: they ask an `Anatomy`. One is read off a model's structure, by the few shapes that
transformers' models share; a family with another shape gets its own reader through `register_anatomy`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, cast

from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from softprompt.backbones.alignment import is_aligned
from softprompt.backbones.bare import Pair, bare
from softprompt.backbones.beginning import needs_beginning
from softprompt.backbones.cached import Sizes, cached_sizes
from softprompt.backbones.compat import looks_attention_up
from softprompt.backbones.lookups import second_lookups
from softprompt.backbones.positions import told_positions
from softprompt.backbones.probe import behaviour
from softprompt.backbones.readers import Readers, family_of, text_configuration
from softprompt.backbones.remembered import Remembered, loosened, state_of
from softprompt.backbones.route import body_by_route, reading_model, text_layers
from softprompt.backbones.sides import require_run, sides_of
from softprompt.backbones.structure import (
    attentions_of,
    cross_attention_of,
    embedding_of,
    feed_forward_of,
    head_dim,
    hidden_size,
    is_attention_alone,
    key_value_heads,
    layers_of,
    stack_of,
    weight_of,
)
from softprompt.backbones.verdicts import kind_of, most_positions, offset_of
from softprompt.errors import SoftPromptError

BackboneKind = Literal["causal", "encoder", "encoder-decoder"]

_EXAMPLES = {"stream": "prompt_tuning", "hidden": "capt", "attention": "p_tuning_v2"}


@dataclass(frozen=True)
class Anatomy:
    """The parts of one model that the three sites touch.

    Attributes:
        family: `config.model_type`.
        kind: `causal`, `encoder` or `encoder-decoder`.
        body: the module that receives `input_ids` (a decoder-only model's body, an encoder, or an encoder-decoder's
            encoder).
        embedding: the input embedding inside `body`.
        lookups: other modules inside `body` that look its ids up, where a virtual token has no row (Gemma 3n and 4).
        stack: the module whose `last_hidden_state` the heads read; virtual tokens are dropped from its output.
        layers: the layers of `body` in the order of their calls; a layer with shared weights appears once a call. None
            where no list of them was found that hand states on.
        attentions: the self-attention of each of `layers`; None where a layer has none (a convolution, a recurrence).
        last_feed_forward: the last layer's feed-forward, which works column by column, where a decoder-only model has
            one, else None.
        decoder: the decoder of an encoder-decoder model, else None.
        positions: the module inside `body` that is told `position_ids`: a table that counts by itself (BART), or the
            text model of a wrapper; else None.
        takes_position_ids: whether `body` takes `position_ids`.
        position_offset: the position id that the model gives the first token (RoBERTa: padding_idx + 1; mostly 0).
        counts_columns: whether it counts columns for positions and can be told no others: virtual tokens then always
            take positions, and keys and values none.
        uncounted: the id that stands for padding where positions are counted by ids alone (M2M100), else None.
        max_positions: how many tokens the model has positions for, or None where there is no limit (T5).
        absolute: whether positions are rows of a table, added to the embeddings.
        hidden_size: H, the width of the residual stream.
        embedding_size: E, the width of the input embedding (ALBERT and ELECTRA: not H).
        vocab_size: V, the rows of the input embedding; virtual ids start here.
        num_key_value_heads: K of each layer as the configuration says, 0 where it does not; what attention is really
            handed is `softprompt.sites.key_values`.
        head_dim: D of each layer, likewise.
        states: the axes of what enters the layers: 3 for `(batch, tokens, H)`.
        decoder_layers: the layers of `decoder`, or none.
        decoder_attentions: the self-attention of each of them.
        cross_attentions: the cross-attention of each of them.
        decoder_key_value_heads: K of each of these attentions.
        decoder_head_dim: D of each of these attentions.
        source: what an encoder reads whose decoder alone is `body`, where that is no text (Whisper: `input_features`);
            else empty.
    """

    family: str
    kind: BackboneKind
    body: nn.Module
    embedding: nn.Module
    stack: nn.Module
    layers: tuple[nn.Module, ...]
    attentions: tuple[nn.Module | None, ...]
    last_feed_forward: nn.Module | None
    decoder: nn.Module | None
    positions: nn.Module | None
    takes_position_ids: bool
    position_offset: int
    uncounted: int | None
    max_positions: int | None
    absolute: bool
    hidden_size: int
    embedding_size: int
    vocab_size: int
    num_key_value_heads: int
    head_dim: int
    counts_columns: bool = False
    lookups: tuple[nn.Module, ...] = ()
    states: int = 3
    decoder_layers: tuple[nn.Module, ...] = ()
    decoder_attentions: tuple[nn.Module, ...] = ()
    cross_attentions: tuple[nn.Module, ...] = ()
    decoder_key_value_heads: int = 0
    decoder_head_dim: int = 0
    source: str = ""

    @property
    def config(self) -> PreTrainedConfig:
        """The configuration of `body`."""
        own = self.body.config
        assert isinstance(own, PreTrainedConfig)
        return own

    @property
    def num_layers(self) -> int:
        """L, the number of layer calls of `body`."""
        return len(self.layers)

    @property
    def checkpoints(self) -> bool:
        """Whether gradient checkpointing is on: layers will run once more during the backward pass."""
        return any(getattr(part, "gradient_checkpointing", False) for part in (self.body, *self.layers))

    @property
    def has_open_attention(self) -> bool:
        """Whether every attention, and there is one, looks its function up in transformers' AttentionInterface."""
        found = [one for one in self.attentions if one is not None]
        return bool(found) and all(map(looks_attention_up, found))

    @cached_property
    def meets_in_attention(self) -> bool:
        """Whether columns meet in full or sliding attention alone: no convolution, recurrence, or other attention."""
        return None not in self.attentions and is_attention_alone(self.body, self.config)

    @cached_property
    def cached(self) -> Sizes:
        """K and the widths of keys and values that a decoder-only model's layers keep; see `backbones/cached.py`."""
        return cached_sizes(self.body, self.layers) if self.kind == "causal" else ()

    @cached_property
    def lacks(self) -> dict[str, str]:
        """Of the sites `stream`, `hidden` and `attention` those that cannot be served, each with what is missing."""
        found, body = dict[str, str](), cast("PreTrainedModel", self.body)
        if not is_aligned(body, self.embedding, self.layers):
            return dict.fromkeys(_EXAMPLES, "the columns that it works on are not its tokens, one by one")
        if any(self.embedding in set(one.modules()) for one in self.lookups):
            why = "it looks ids up outside the input embedding, where a virtual token has no row"
            found |= {"stream": why, "hidden": why}
        if not self.layers:
            found["hidden"] = "it has no list of layers that hand states (batch, tokens, hidden) on"
        elif self.states != 3:
            found["hidden"] = f"its layers hand on states of {self.states} axes, not (batch, tokens, hidden)"
        if not (self.has_open_attention or self.cached):
            none = "its layers have no attention whose keys a prefix could join"
            found["attention"] = "its attention is not an AttentionInterface function" if any(self.attentions) else none
        elif self.kind == "causal" and not (self.absolute or self.meets_in_attention):
            found |= {"attention": why} if (why := needs_beginning(body)) else {}
        return found

    def require_site(self, site: str) -> None:
        """Raise where this family cannot serve a site.

        Raises:
            SoftPromptError: names the family, the site, what is missing, and the sites that it can serve.
        """
        why = self.lacks.get(site)
        if why is not None:
            raise SoftPromptError(f"family {self.family!r} cannot serve the site {site!r}: {why}; {self.besides(site)}")

    def besides(self, site: str) -> str:
        """What to do where a site is not served."""
        served = [f"{one!r} (such as {name})" for one, name in _EXAMPLES.items() if one not in {site, *self.lacks}]
        return f"use a method at the site {' or '.join(served)}" if served else "choose another backbone"

    def require_decoder(self) -> None:
        """Raise where there is no decoder whose self- and cross-attention can join a prefix.

        Raises:
            SoftPromptError: names the family.
        """
        attentions = (*self.decoder_attentions, *self.cross_attentions)
        if not attentions or not all(map(looks_attention_up, attentions)):
            raise SoftPromptError(
                f"family {self.family!r} has no decoder that attends to an encoder as T5's and BART's do: use a method "
                "at the site 'stream' or 'hidden', or one whose keys and values stand in the body alone"
            )


_READERS: Readers[Anatomy] = Readers()
_KNOWN: Remembered[Callable[[], Anatomy | None]] = Remembered()


def register_anatomy(family: str, read: Callable[[nn.Module], Anatomy]) -> None:
    """Teach the library a family: `read(model)` returns its `Anatomy` and is preferred over the built-in reader.

    Args:
        family: the model's own `config.model_type`: of one that wraps a language model not the language model's.
        read: a function from the model to its anatomy; `dataclasses.replace(read_anatomy(part), ...)` often does. Asked
            from there, `read_anatomy` reads models of this family as if nothing were registered.
    """
    _READERS.register(family, read)


def read_anatomy(model: nn.Module | Pair) -> Anatomy:
    """Find the parts of a model; they are read once, until its structure or its configuration is another.

    Args:
        model: a transformers model, with prompts attached or not, or a `Backbone`.

    Raises:
        SoftPromptError: the family follows no known anatomy.

    Example:
        >>> anatomy = sp.read_anatomy(model)
        >>> anatomy.kind, len(anatomy.layers) == model.config.num_hidden_layers
        ('causal', True)
    """
    own = bare(model)
    reader = _READERS.of(own, _read)
    again = _KNOWN.of(own, (reader, state_of(own)), lambda: loosened(reader(own)))
    return again() or reader(own)  # a reader may make modules of its own, which nothing else keeps


def _read(model: nn.Module) -> Anatomy:
    model = reading_model(model)
    config, family = text_configuration(model), family_of(model)
    sides = sides_of(model, family)
    body = sides.encoder or body_by_route(sides.decoder or model, config)
    config = text_configuration(body) if sides.decoder else config
    embedding = embedding_of(body, family)
    layers = text_layers(body, config)
    attentions = attentions_of(layers)
    takes, positions = told_positions(body, layers)
    found = behaviour(body, layers, attentions, encoder=sides.encoder is not None)
    require_run(model, body, found, family)
    kind: BackboneKind = "encoder-decoder" if sides.encoder else kind_of(family, found)
    told = takes or positions is not None
    vocab_size, embedding_size = weight_of(embedding).shape
    side: Literal["encoder", "decoder"] = "decoder" if sides.source else "encoder"
    read = Anatomy(
        family=family if sides.decoder else config.model_type,
        kind=kind,
        body=body,
        embedding=embedding,
        lookups=second_lookups(body, embedding),
        stack=stack_of(body, config, encoder=kind == "encoder"),
        layers=layers,
        attentions=attentions,
        last_feed_forward=feed_forward_of(layers[-1]) if kind == "causal" and layers else None,
        decoder=body_by_route(sides.decoder, sides.decoder.config) if sides.encoder and sides.decoder else None,
        positions=positions,
        takes_position_ids=takes,
        position_offset=offset_of(body, family, found),
        counts_columns=found.counts == "columns" and not told,
        uncounted=None if told or found.counts != "ids" else config.pad_token_id,
        max_positions=most_positions(config, found),
        absolute=found.positions is not None,
        hidden_size=hidden_size(config) or found.width,
        embedding_size=embedding_size,
        vocab_size=vocab_size,
        num_key_value_heads=key_value_heads(config, side),
        head_dim=head_dim(config, side),
        states=found.states,
        source=sides.source,
    )
    return read if read.decoder is None else _with_decoder(read, read.decoder)


def _with_decoder(read: Anatomy, decoder: nn.Module) -> Anatomy:
    """With the attentions of a decoder; without them where it attends to its encoder in another way."""
    config = text_configuration(decoder)
    layers = layers_of(decoder, config)
    cross = tuple(found for layer in layers if (found := cross_attention_of(layer)) is not None)
    own = tuple(found for found in attentions_of(layers) if found is not None)
    if not layers or len(cross) < len(layers) or len(own) < len(layers):
        return read
    return replace(
        read,
        decoder_layers=layers,
        decoder_attentions=own,
        cross_attentions=cross,
        decoder_key_value_heads=key_value_heads(config, "decoder"),
        decoder_head_dim=head_dim(config, "decoder"),
    )
