"""Choose and build the readout of a task for a backbone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from softprompt.backbones.heads import usual_pooling
from softprompt.errors import SoftPromptError
from softprompt.readouts.answers import AnswerIds, Ids, brings_choices, end_token, label_words
from softprompt.readouts.base import Readout
from softprompt.readouts.candidates import Candidates, Comparison
from softprompt.readouts.context import ReadoutContext
from softprompt.readouts.free_text import Beams, FreeText
from softprompt.readouts.head import Head
from softprompt.readouts.label_rows import LabelRows
from softprompt.readouts.label_words import LabelWords
from softprompt.readouts.masks import Masks
from softprompt.readouts.mixture import Mixture
from softprompt.readouts.registry import READOUTS, readout
from softprompt.readouts.sentinel import lead_of
from softprompt.readouts.span_head import SpanHead
from softprompt.readouts.surround import surrounded
from softprompt.readouts.tag_head import TagHead
from softprompt.readouts.template_words import TemplateWordsEncoder
from softprompt.readouts.vocabulary_words import VocabularyWords, candidates_of
from softprompt.tasks.facts import FACT
from softprompt.tasks.in_place import IN_PLACE, PASSAGE
from softprompt.tasks.task import Task
from softprompt.tasks.text.encoding import RowEncoder, continuation
from softprompt.tasks.text.passage import PassageEncoder
from softprompt.tasks.text.template import Template
from softprompt.tasks.text.words import WordsEncoder


def make_readout(task: Task, context: ReadoutContext) -> Readout:
    """Build the readout.

    Raises:
        SoftPromptError: the backbone or the task cannot serve it; the message says what can.
    """
    made, spec = _mixture(task, context) if context.pool else _one(task, context), context.spec
    if spec.z_loss and not (spec.name in ("text", "mask") and made.generates):
        raise SoftPromptError(
            f"z_loss is a part of the loss over the vocabulary, and readout {spec.name!r} of task {task.name!r} has "
            "another: set loss=vocabulary, or leave z_loss out"
        )
    made.z_loss = spec.z_loss
    return made


def _one(task: Task, context: ReadoutContext) -> Readout:
    spec = context.spec
    if task.kind == "generation" and context.kind == "encoder" and spec.name in ("text", "mask"):
        raise SoftPromptError(
            f"task {task.name!r} asks for free text, which an encoder cannot write: use a causal model or an "
            "encoder-decoder"
        )
    if task.kind in IN_PLACE and spec.name in ("rows", "mask", "text"):
        raise SoftPromptError(
            f"task {task.name!r} is of the kind {task.kind}, which a head reads off the row's own tokens, and readout "
            f"{spec.name!r} reads one place: use readout='head'"
        )
    if spec.name == "head" and context.behind and not task.template_for("head", context.seq2seq).slots:
        raise SoftPromptError(
            f"task {task.name!r} is read off the text's own tokens (readout 'head'), and on a causal model none of "
            "them sees a prompt behind them: set placement to front"
        )
    lead = lead_of(context.tokenizer, spec.name, seq2seq=context.seq2seq, wanted=spec.sentinel_targets)
    made: object = READOUTS.get(spec.name)(task, replace(context, lead=lead))
    if not isinstance(made, Readout):
        raise SoftPromptError(f"readout {spec.name!r} is a {type(made).__name__}: have its function give a Readout")
    return made


def _check_lm_head(context: ReadoutContext) -> None:
    if not context.has_lm_head:
        raise SoftPromptError(
            f"readout {context.spec.name!r} needs a backbone with a language-model head, and this one has none: use "
            "readout='head'"
        )


def _row_encoder(template: Template, context: ReadoutContext, mask_id: int | None = None) -> RowEncoder:
    limit, closing, side = context.limit, not context.causal, context.spec.truncation
    if context.words is not None:
        return TemplateWordsEncoder(
            template, context.tokenizer, limit, 0, closing, mask_id, *context.words, truncation=side
        )
    around = (0, context.virtual, 0, 0) if context.behind else context.around
    if around and context.virtual and not template.slots:
        template = surrounded(template, around)
    return RowEncoder(template, context.tokenizer, limit, context.virtual, closing, mask_id, truncation=side)


def _mixture(task: Task, context: ReadoutContext) -> Mixture:
    if context.spec.name not in ("text", "mask") or task.kind not in ("classification", "regression", FACT):
        raise SoftPromptError(
            f"task {task.name!r} with readout {context.spec.name!r}: a mixture of prompts weighs label words; take a "
            "task that has them, and leave readout out"
        )
    members, first = [], 0
    for source, words in context.pool:
        Template.parse(source, task.fields)
        own = task.model_copy(update={"template": source, "templates": {}})
        members.append(make_readout(own, replace(context, pool=(), words=(words, first))))
        first += len(words)
    return Mixture(members)


@readout("rows")
def _rows(task: Task, context: ReadoutContext) -> LabelRows:
    _check_lm_head(context)
    if task.kind not in ("classification", "regression"):
        raise SoftPromptError(
            f"task {task.name!r} is a {task.kind} task, and label rows tell classes or numbers: leave readout out"
        )
    encoder, mask_id = context.kind == "encoder", context.tokenizer.mask_token_id
    if encoder and mask_id is None:
        raise SoftPromptError("readout 'rows' needs a tokenizer with a mask token here: use readout='head'")
    template = task.template_for("mask" if encoder else "text", context.seq2seq)
    row_encoder = _row_encoder(template, context, mask_id if encoder else None)
    bounds, space = _bounds(task), template.space_before_answer
    words = () if bounds else label_words(task, context.seq2seq)
    weight, bias = context.label_rows([continuation(context.tokenizer, word, space=space) for word in words])
    if bounds:
        weight, bias = weight.new_zeros(1, weight.shape[1]), bias.new_zeros(1)
    start = None if context.decoder_start is None else (context.decoder_start, *context.lead)
    return LabelRows(row_encoder, weight, bias, context.filler, bounds=bounds, decoder_ids=start)


@readout("head")
def _head(task: Task, context: ReadoutContext) -> Head:
    if task.kind in ("generation", FACT):
        what = "a word of a large vocabulary" if task.kind == FACT else "free text"
        raise SoftPromptError(f"task {task.name!r} asks for {what}, which a head cannot give: leave readout out")
    if task.kind in IN_PLACE:
        return _tag_head(task, context) if task.kind == "tags" else _span_head(task, context)
    chosen = context.spec.pooling
    pooling = chosen if chosen != "auto" else usual_pooling(causal=context.causal)
    template = task.template_for("head", context.seq2seq)
    outputs = 1 if template.has_choice or task.kind == "regression" else len(task.label_words())
    row_encoder = _row_encoder(template, context)
    return Head(row_encoder, context.hidden_size, outputs, pooling, context.filler, _bounds(task))


def _tag_head(task: Task, context: ReadoutContext) -> TagHead:
    pooling = context.spec.pooling
    if pooling == "mean":
        raise SoftPromptError(
            f"task {task.name!r} has a tag for each word, which is read at one of its tokens: pooling first or last"
        )
    last = context.causal if pooling == "auto" else pooling == "last"
    encoder = replace(WordsEncoder.over(_in_place(task, context), task.fields[0]), last=last)
    return TagHead(encoder, context.hidden_size, len(task.labels), context.filler)


def _span_head(task: Task, context: ReadoutContext) -> SpanHead:
    encoder = PassageEncoder.over(_in_place(task, context), PASSAGE)
    return SpanHead(encoder, context.hidden_size, context.filler, context.spec.max_new_tokens)


def _in_place(task: Task, context: ReadoutContext) -> RowEncoder:
    """Of rows that are read in their own tokens: the template is the task's, as it stands."""
    return _row_encoder(Template.parse(dict(task.templates).get("head", task.template)), context)


def _bounds(task: Task) -> tuple[float, float] | None:
    if task.kind != "regression":
        return None
    if task.bounds is None:
        raise SoftPromptError(f"task {task.name!r} is a regression without bounds: set bounds: [least, greatest]")
    return task.bounds


@readout("mask")
def _mask(task: Task, context: ReadoutContext) -> Readout:
    _check_lm_head(context)
    if context.kind != "encoder":
        raise SoftPromptError("readout 'mask' needs a masked language model: use 'text' or 'head' on this backbone")
    tokenizer = context.tokenizer
    if tokenizer.mask_token_id is None:
        raise SoftPromptError("readout 'mask' needs a tokenizer with a mask token: use readout='text' or 'head'")
    template = task.template_for("mask")
    row_encoder = _row_encoder(template, context, tokenizer.mask_token_id)
    if task.kind == FACT:
        return _vocabulary(task, context, row_encoder)
    answers = AnswerIds(tokenizer, template.space_before_answer, seq2seq=False).of_labels(task)
    return _compared(task, context, row_encoder, answers)


@readout("text")
def _text(task: Task, context: ReadoutContext) -> Readout:
    _check_lm_head(context)
    if context.kind == "encoder":
        raise SoftPromptError(
            "readout 'text' needs a model that goes on with a text: use 'mask' or 'head' on an encoder"
        )
    return _free_text(task, context) if task.kind == "generation" else _words(task, context)


def _free_text(task: Task, context: ReadoutContext) -> FreeText:
    tokenizer, template = context.tokenizer, task.template_for("text", context.seq2seq)
    end = end_token(tokenizer)
    if end is None:
        raise SoftPromptError(
            f"task {task.name!r} asks for free text, and the tokenizer has no token that ends it: set its eos_token"
        )
    made = FreeText(
        _row_encoder(template, context),
        context.filler,
        context.decoder_start,
        end,
        space=template.space_before_answer,
        max_new_tokens=context.spec.max_new_tokens,
        lead=context.lead,
    )
    made.beams = Beams(context.spec.num_beams, context.spec.length_penalty)
    return made


def _words(task: Task, context: ReadoutContext) -> Readout:
    template, seq2seq = task.template_for("text", context.seq2seq), context.seq2seq
    row_encoder = _row_encoder(template, context)
    if task.kind == FACT:
        return _vocabulary(task, context, row_encoder)
    space, most = template.space_before_answer, context.longest_answer
    answers = AnswerIds(context.tokenizer, space, seq2seq, context.lead, most)
    if brings_choices(task, template, seq2seq):
        compared = Comparison(context.ending, context.spec.scoring, context.spec.loss == "vocabulary")
        start = context.decoder_start
        return Candidates(row_encoder, None, context.filler, start, compared=compared, encode_choice=answers.of)
    if task.kind == "regression" and seq2seq:
        raise SoftPromptError(f"task {task.name!r} is a regression: use readout='head' on an encoder-decoder")
    return _compared(task, context, row_encoder, answers.of_labels(task))


def _vocabulary(task: Task, context: ReadoutContext, row_encoder: RowEncoder) -> VocabularyWords:
    """Facts, read at the mask of an encoder or behind the text of a causal model."""
    if context.seq2seq:
        raise SoftPromptError(
            f"task {task.name!r} has facts, which are read at a mask or behind a text: use an encoder or a causal model"
        )
    space = row_encoder.template.space_before_answer
    candidates = candidates_of(task.vocabulary, context.tokenizer, context.vocab_size, space=space)
    whole, name = context.spec.loss != "labels", context.spec.name
    return VocabularyWords(name, row_encoder, candidates, context.filler, vocabulary=whole, space=space)


def _compared(task: Task, context: ReadoutContext, row_encoder: RowEncoder, answers: Sequence[Ids]) -> Readout:
    """Label words that are read at one column where each is one token, else as candidates."""
    spec, ending = context.spec, context.ending
    scored, ended = ending.behind(answers)
    single = not context.seq2seq and all(len(ids) == 1 for ids in scored)
    # What answers that begin one another differ in is little of their tokens' loss, and at masks, where other lengths
    # are other texts, no part of it.
    apart = not single and not ended and context.kind != "encoder"
    vocabulary = spec.loss == "vocabulary" or (spec.loss == "auto" and apart)
    if single and spec.scoring == "acc":
        words = [ids[0] for ids in answers]
        return LabelWords(spec.name, row_encoder, words, context.filler, vocabulary=vocabulary, bounds=_bounds(task))
    if task.kind == "regression":
        raise SoftPromptError(f"task {task.name!r} is a regression and needs label words of one token each")
    kind, texts = Masks if context.kind == "encoder" else Candidates, task.label_words(context.seq2seq)
    compared = Comparison(ending, spec.scoring, vocabulary)
    return kind(row_encoder, answers, context.filler, context.decoder_start, compared=compared, words=texts)
