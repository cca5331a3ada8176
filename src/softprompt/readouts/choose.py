"""Choose and build the readout of a task for a backbone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from torch import Tensor

from softprompt.errors import SoftPromptError
from softprompt.readouts.base import Readout
from softprompt.readouts.candidates import Candidates
from softprompt.readouts.free_text import FreeText
from softprompt.readouts.head import Head, Pooling
from softprompt.readouts.label_rows import LabelRows
from softprompt.readouts.label_words import LabelWords
from softprompt.readouts.mixture import Mixture
from softprompt.readouts.sentinel import lead_of
from softprompt.readouts.surround import surrounded
from softprompt.readouts.template_words import RenderedTemplate, TemplateWordsEncoder
from softprompt.tasks.task import Task
from softprompt.tasks.text.encoding import RowEncoder, affixes, answer_place, continuation
from softprompt.tasks.text.template import Template


@dataclass(frozen=True)
class ReadoutOptions:
    """What a readout has to know of the backbone, the method and the user's wishes.

    Attributes:
        name: `text`, `mask`, `head` or `rows`.
        seq2seq: the backbone is an encoder-decoder.
        causal: the backbone is decoder-only.
        hidden_size: H.
        virtual: P of the method.
        limit: most columns of a sequence, answers included.
        decoder_start: first id of an encoder-decoder's decoder.
        has_lm_head: whether the backbone gives vocabulary logits.
        loss: `labels`, `vocabulary`, or `auto`: labels where every label is one token or a choice, else vocabulary.
        pooling: of a head; `auto` is `last` on causal models and `mean` elsewhere.
        max_new_tokens: longest free answer.
        sentinel_targets: answers stand behind T5's first sentinel.
        around: how many virtual tokens stand at the four places around text and answer; see `Producer.around`.
        pool: templates whose own words are the virtual tokens; see `Producer.pool`.
        words: of the one member of a pool that is being built: its words and the rank of the first.
        label_rows: for ids of label words, one sequence a label, the rows `(C, E)` and the biases `(C,)` of the
            language-model head, fp32; the mean over several tokens.
    """

    name: Literal["text", "mask", "head", "rows"]
    seq2seq: bool
    causal: bool
    hidden_size: int
    virtual: int
    limit: int
    decoder_start: int | None
    has_lm_head: bool
    loss: Literal["auto", "labels", "vocabulary"] = "auto"
    pooling: Literal["auto", "first", "last", "mean"] = "auto"
    max_new_tokens: int = 32
    sentinel_targets: bool = False
    around: tuple[int, ...] = ()
    pool: tuple[tuple[str, tuple[int, ...]], ...] = ()
    words: tuple[tuple[int, ...], int] | None = None
    label_rows: Callable[[Sequence[tuple[int, ...]]], tuple[Tensor, Tensor]] | None = None


def make_readout(task: Task, tokenizer: Any, options: ReadoutOptions) -> Readout:
    """Build the readout.

    Raises:
        SoftPromptError: the backbone or the task cannot serve it; the message says what can.
    """
    if options.pool:
        return _pool(task, tokenizer, options)
    lead = lead_of(tokenizer, options.name, seq2seq=options.seq2seq, wanted=options.sentinel_targets)
    if options.name == "head":
        return _head(task, tokenizer, options)
    if not options.has_lm_head:
        raise SoftPromptError(
            f"readout {options.name!r} needs a backbone with a language-model head, and this one has none: "
            "use readout='head'"
        )
    if options.name == "rows":
        return _rows(task, tokenizer, options, lead)
    if options.name == "mask":
        if options.causal or options.seq2seq:
            raise SoftPromptError("readout 'mask' needs a masked language model: use 'text' or 'head' on this backbone")
        return _mask(task, tokenizer, options)
    if not (options.causal or options.seq2seq):
        raise SoftPromptError(
            "readout 'text' needs a model that goes on with a text: use 'mask' or 'head' on an encoder"
        )
    return _text(task, tokenizer, options, lead)


def _filler(tokenizer: Any) -> int:
    return int(tokenizer.pad_token_id or 0)


def _row_encoder(template: Template, tokenizer: Any, options: ReadoutOptions, mask_id: int | None = None) -> RowEncoder:
    if options.words is not None:
        shown = RenderedTemplate(template.parts)
        return TemplateWordsEncoder(shown, tokenizer, options.limit, 0, not options.causal, mask_id, *options.words)
    if options.around and options.virtual and not template.slots:
        template = surrounded(template, options.around)
    return RowEncoder(template, tokenizer, options.limit, options.virtual, not options.causal, mask_id)


def _pool(task: Task, tokenizer: Any, options: ReadoutOptions) -> Mixture:
    if options.name not in ("text", "mask") or task.kind not in ("classification", "regression"):
        raise SoftPromptError(
            f"task {task.name!r} with readout {options.name!r}: a mixture of prompts weighs label words; take a task "
            "that has them, and leave readout out"
        )
    members, first = [], 0
    for source, words in options.pool:
        Template.parse(source, task.fields)
        own = task.model_copy(update={"template": source, "templates": {}})
        members.append(make_readout(own, tokenizer, replace(options, pool=(), words=(words, first))))
        first += len(words)
    return Mixture(members)


def _rows(task: Task, tokenizer: Any, options: ReadoutOptions, lead: tuple[int, ...]) -> LabelRows:
    if task.kind not in ("classification", "regression"):
        raise SoftPromptError(
            f"task {task.name!r} is a {task.kind} task, and label rows tell classes or numbers: leave readout out"
        )
    assert options.label_rows is not None
    encoder = not (options.causal or options.seq2seq)
    if encoder and tokenizer.mask_token_id is None:
        raise SoftPromptError("readout 'rows' needs a tokenizer with a mask token here: use readout='head'")
    template = task.template_for("mask" if encoder else "text", options.seq2seq)
    row_encoder = _row_encoder(template, tokenizer, options, tokenizer.mask_token_id if encoder else None)
    bounds, place = _bounds(task), answer_place(template)
    space = place is not None and place.space
    words = () if bounds else _label_words(task, options)
    weight, bias = options.label_rows([continuation(tokenizer, word, space=space) for word in words])
    if bounds:
        weight, bias = weight.new_zeros(1, weight.shape[1]), bias.new_zeros(1)
    start = None if options.decoder_start is None else (options.decoder_start, *lead)
    return LabelRows(row_encoder, weight, bias, _filler(tokenizer), bounds=bounds, decoder_ids=start)


def _head(task: Task, tokenizer: Any, options: ReadoutOptions) -> Head:
    if task.kind == "generation":
        raise SoftPromptError(f"task {task.name!r} asks for free text, which a head cannot give: use readout='text'")
    pooling: Pooling = options.pooling if options.pooling != "auto" else "last" if options.causal else "mean"
    template = task.template_for("head", options.seq2seq)
    outputs = 1 if template.has_choice or task.kind == "regression" else len(task.label_words())
    row_encoder = _row_encoder(template, tokenizer, options)
    return Head(row_encoder, options.hidden_size, outputs, pooling, _filler(tokenizer), _bounds(task))


def _bounds(task: Task) -> tuple[float, float] | None:
    if task.kind != "regression":
        return None
    if task.bounds is None:
        raise SoftPromptError(f"task {task.name!r} is a regression without bounds: set bounds: [least, greatest]")
    return task.bounds


def _mask(task: Task, tokenizer: Any, options: ReadoutOptions) -> LabelWords:
    if tokenizer.mask_token_id is None:
        raise SoftPromptError("readout 'mask' needs a tokenizer with a mask token: use readout='text' or 'head'")
    template = task.template_for("mask")
    place = answer_place(template)
    space = place is not None and place.space
    words = []
    for word in _label_words(task, options):
        ids = continuation(tokenizer, word, space=space)
        if len(ids) != 1:
            raise SoftPromptError(
                f"label word {word!r} is {len(ids)} tokens for this backbone, and a mask takes one: "
                "choose another word in the task's labels, or use readout='head'"
            )
        words.append(ids[0])
    row_encoder = _row_encoder(template, tokenizer, options, tokenizer.mask_token_id)
    return LabelWords(
        "mask",
        row_encoder,
        words,
        _filler(tokenizer),
        vocabulary=options.loss == "vocabulary",
        bounds=_bounds(task),
    )


def _label_words(task: Task, options: ReadoutOptions) -> tuple[str, ...]:
    words = task.label_words(options.seq2seq)
    if not words:
        raise SoftPromptError(f"task {task.name!r} has no label words: give it labels, or use readout='head'")
    return words


def _text(task: Task, tokenizer: Any, options: ReadoutOptions, lead: tuple[int, ...]) -> Readout:
    template = task.template_for("text", options.seq2seq)
    row_encoder = _row_encoder(template, tokenizer, options)
    place = answer_place(template)
    space = place is not None and place.space
    filler = _filler(tokenizer)
    if task.kind == "generation":
        end = affixes(tokenizer)[1][-1:] or (tokenizer.eos_token_id,)
        return FreeText(
            row_encoder,
            filler,
            options.decoder_start,
            end[0],
            space=space,
            max_new_tokens=options.max_new_tokens,
            lead=lead,
        )
    closing = affixes(tokenizer)[1] if options.seq2seq else ()
    if task.kind == "choice" and (template.has_choice or not task.label_words(options.seq2seq)):
        return Candidates(
            row_encoder,
            None,
            filler,
            options.decoder_start,
            vocabulary=options.loss == "vocabulary",
            encode_choice=lambda choice: (*lead, *continuation(tokenizer, choice, space=space), *closing),
        )
    if task.kind == "regression" and options.seq2seq:
        raise SoftPromptError(f"task {task.name!r} is a regression: use readout='head' on an encoder-decoder")
    targets = [(*lead, *continuation(tokenizer, word, space=space), *closing) for word in _label_words(task, options)]
    if len(set(targets)) < len(targets):
        raise SoftPromptError(f"two label words of task {task.name!r} are the same tokens: choose other words")
    if not options.seq2seq and all(len(ids) == 1 for ids in targets):
        words = [ids[0] for ids in targets]
        return LabelWords(
            "text", row_encoder, words, filler, vocabulary=options.loss == "vocabulary", bounds=_bounds(task)
        )
    if task.kind == "regression":
        raise SoftPromptError(f"task {task.name!r} is a regression and needs label words of one token each")
    return Candidates(row_encoder, targets, filler, options.decoder_start, vocabulary=options.loss != "labels")
