"""Answers of an attached prompt to rows, in batches of like lengths.

A prompt that stands in front of every text of a causal model is computed once, for as long as it answers (see
`attached/lowered.py`), and what rows of a batch have in common once a batch (`sites/prefix_sharing.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import torch

from softprompt.attached.answering import Answering
from softprompt.attached.lowered import Lowered, lowered_in_front, meet_in_fronts
from softprompt.attached.standing import standing_in
from softprompt.backbones.sharding import is_split
from softprompt.errors import SoftPromptError
from softprompt.inference.batches import Tick, batches, rows_a_batch
from softprompt.inference.neighbours import longest_first
from softprompt.inference.prefilled import PrefilledItem, beginning_above
from softprompt.ranks import Ranks, here
from softprompt.readouts import Item, Outcome, Readout
from softprompt.sites.modes import evaluating
from softprompt.tasks import Row, Task
from softprompt.tasks.spans import OUTSIDE


@dataclass(frozen=True)
class TaggedWord:
    """A word with its tag.

    Attributes:
        word: as it stands in the row.
        tag: its tag; `O` for a word that was cut or that the tokenizer makes nothing of.
        probability: of the tag, None for such a word.
    """

    word: str
    tag: str
    probability: float | None


@dataclass(frozen=True)
class Answer:
    """One answer in the task's own words.

    Attributes:
        label: the label's value, the number, the choice or the text.
        probability: of the label, where there is one.
        probabilities: of every label value or choice.
        word: the label's word, or the label itself where it has none.
        tagged: of a task with tags each word with its own; `label` is these tags, with spaces between them.
    """

    label: str
    probability: float | None
    probabilities: dict[str, float]
    word: str
    tagged: tuple[TaggedWord, ...] = ()


def predict(
    prompted: Answering,
    readout: Readout,
    rows: Sequence[Row],
    *,
    batch_size: int = 32,
    tick: Tick | None = None,
    items: Sequence[Item] | None = None,
    prompts: str | None = None,
) -> list[Outcome]:
    """Answer rows; the longest come first, so memory runs out at once or never.

    Every part of the model is given back in the mode it was in, whatever happens inside. In a training on several ranks
    each answers its part of the rows, and all have all answers.

    Args:
        prompted: the attached model.
        readout: how answers are read.
        rows: the rows.
        batch_size: rows a forward pass.
        tick: called with the number of rows done.
        items: the rows, encoded already, and maybe prefilled.
        prompts: the name of the prompt that answers; may be left out where one is attached.
    """
    batch_size = rows_a_batch(batch_size)
    encoded = list(items) if items is not None else [readout.encode(row) for row in rows]
    asked = prompted.rows(prompts, 1) if prompts or len(prompted.names) == 1 else tuple(range(len(prompted.names)))
    longest = longest_first(encoded, alike=len(asked) == 1 and meet_in_fronts(prompted, asked[0]))
    split = is_split(prompted.backbone)  # each of its calls takes all ranks, so all of them answer every row
    ranks = Ranks() if split else here()
    own = ranks.mine(longest)
    mine, found = [encoded[place] for place in own], dict[int, Outcome]()
    # A split backbone keeps tensors from call to call, and those of inference mode no training may fill again.
    with evaluating(prompted, readout), torch.no_grad() if split else torch.inference_mode():
        pays = not split and len(mine) > (batch_size if len(asked) == 1 else 1)
        with standing_in(prompted, _lowered(prompted, asked, mine) if pays else {}):
            for chosen, told in _answered(prompted, readout, mine, batch_size, tick, prompts):
                found |= {own[place]: outcome for place, outcome in zip(chosen, told, strict=True)}
    found = _from_all(found, ranks)
    if tick is not None and len(own) < len(found):
        tick(len(found) - len(own))
    return [found[place] for place in range(len(encoded))]


def _answered(
    prompted: Answering,
    readout: Readout,
    items: Sequence[Item],
    batch_size: int,
    tick: Tick | None,
    prompts: str | None,
) -> Iterator[tuple[list[int], list[Outcome]]]:
    """Of each batch of rows, as they stand, the places and the answers."""
    for chosen, batch in batches(items, readout.collate, batch_size, prompted, tick, in_order=True):
        with beginning_above(prompted, [items[place] for place in chosen]):
            told = readout.answer(prompted, batch, prompts)
        yield chosen, told


def _lowered(prompted: Answering, asked: Sequence[int], items: Sequence[Item]) -> dict[int, Lowered]:
    """By their indices what stands for prompts in front of all of some rows.

    Nothing does where the rows have places for virtual tokens, or begin above the first layer.
    """
    if any(isinstance(item, PrefilledItem) or min(text.ids, default=0) < 0 for item in items for text in item.texts):
        return {}
    most = max(item.length + max(map(len, item.targets), default=0) for item in items)
    found = ((index, lowered_in_front(prompted, index, most)) for index in asked)
    return {index: lowered for index, lowered in found if lowered is not None}


def _from_all(found: dict[int, Outcome], ranks: Ranks) -> dict[int, Outcome]:
    """The outcomes of every rank, by the places of their rows."""
    if ranks.count == 1:
        return found
    own = [(place, asdict(one)) for place, one in found.items()]
    return {place: _outcome(values) for part in ranks.gathered(own) for place, values in part}


def _outcome(values: Mapping[str, object]) -> Outcome:
    """An outcome as it was before it went through JSON, which has lists alone."""
    make: Callable[..., Outcome] = Outcome
    return make(**{name: tuple(one) if isinstance(one, list) else one for name, one in values.items()})


def answered(found: Sequence[Outcome]) -> list[Outcome]:
    """The outcomes, if there is an answer in each: the largest of scores that are no numbers is none.

    Raises:
        SoftPromptError: a row's scores are not finite.
    """
    for place, one in enumerate(found):
        numbers = (one.prediction, *(one.probabilities or ()))
        if any(isinstance(number, float) and math.isnan(number) for number in numbers):
            raise SoftPromptError(
                f"row {place + 1} of {len(found)}: the model's scores are not finite, so there is no answer: load the "
                "backbone with dtype float32, or see whether its weights are finite"
            )
    return list(found)


def answers(
    prompted: Answering,
    task: Task,
    readout: Readout,
    rows: Sequence[Row],
    *,
    batch_size: int = 32,
    tick: Tick | None = None,
    prompts: str | None = None,
) -> list[Answer]:
    """Answers in the task's own words; see `predict`.

    Raises:
        SoftPromptError: a row's scores are not finite.
    """
    found = answered(predict(prompted, readout, rows, batch_size=batch_size, tick=tick, prompts=prompts))
    seq2seq = prompted.anatomy.kind == "encoder-decoder"
    return [in_words(task, row, outcome, seq2seq) for row, outcome in zip(rows, found, strict=True)]


def in_words(task: Task, row: Row, outcome: Outcome, seq2seq: bool = False) -> Answer:
    """An outcome with the task's label values, or the row's choices, for indices; an encoder-decoder has its words."""
    if task.kind in ("generation", "regression"):
        text = outcome.prediction if isinstance(outcome.prediction, str) else f"{outcome.prediction:.4g}"
        return Answer(text, None, {}, text)
    if isinstance(outcome.prediction, str):
        chance = outcome.probabilities[0] if outcome.probabilities else None
        return Answer(outcome.prediction, chance, {}, outcome.prediction)
    if isinstance(outcome.prediction, tuple):
        return _tagged(task, row, outcome.prediction, outcome.probabilities or ())
    own = row.choices if task.kind == "choice" else None
    names, words = (own, own) if own else (task.label_values, task.label_words(seq2seq))
    chances = outcome.probabilities or ()
    index = int(outcome.prediction)
    probability = chances[index] if chances else None
    label = names[index]
    return Answer(label, probability, dict(zip(names, chances, strict=False)), words[index])


def _tagged(task: Task, row: Row, tags: Sequence[int], chances: Sequence[float]) -> Answer:
    names = list(task.labels.values())
    tagged = tuple(
        TaggedWord(word, OUTSIDE, None) if tag < 0 else TaggedWord(word, names[tag], chance)
        for word, tag, chance in zip(row.words, tags, chances, strict=True)
    )
    label = " ".join(one.tag for one in tagged)
    return Answer(label, None, {}, label, tagged)
