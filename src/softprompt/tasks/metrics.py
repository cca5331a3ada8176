"""Metrics as functions of sums, so that an interval costs next to nothing.

Every metric here is a function of sums over units, where a unit is a row or, for grouped tasks, all rows of a
group: accuracy of counts of hits, F1 of counts of each class, Pearson of moments; a bootstrap draw is one weighted sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from softprompt.errors import SoftPromptError
from softprompt.tasks import facts, overlap
from softprompt.tasks.answers import best, names_referent, normalised, token_f1
from softprompt.tasks.rows import Label, Row
from softprompt.tasks.spans import OUTSIDE, spans_of, types_of

Array: TypeAlias = NDArray[np.float64]
Prediction: TypeAlias = Label


class Scored(Protocol):
    """What a metric asks of a task."""

    @property
    def kind(self) -> str:
        """Of its answers."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Label words by label value, in the order of the class indices."""

    @property
    def positive(self) -> str | None:
        """The label value that `f1` scores; the last one where None."""


Statistics: TypeAlias = Callable[[Scored, Sequence[Row], Sequence[Prediction]], Array]


@dataclass(frozen=True, slots=True)
class Metric:
    """How a metric comes from sums.

    Attributes:
        kinds: the kinds of tasks it is for.
        statistics: one vector a row, `[rows, S]`.
        value: the metric of the sum of such vectors, `[..., S] -> [...]`.
        by_group: a group's vector is the product of its rows' (all of them right), not their sum.
        proportion: the value is a share of units, so that Wilson's interval holds.
        parts: the sums of each part that the value is over, by name; see `span_f1`, which has one a type.
        library: the module that it takes, where that comes with an extra.
    """

    kinds: tuple[str, ...]
    statistics: Statistics
    value: Callable[[Array], Array]
    by_group: bool = False
    proportion: bool = False
    parts: Callable[[Scored, Array], dict[str, Array]] | None = None
    library: str | None = None


# -- statistics of a row ---------------------------------------------------------------------------------


def _with_count(hits: Sequence[float]) -> Array:
    return np.array([[hit, 1.0] for hit in hits], dtype=np.float64)


def _hits(task: Scored, rows: Sequence[Row], predictions: Sequence[Prediction]) -> Array:
    pairs = zip(rows, predictions, strict=True)
    if task.kind == "choice":
        return _with_count([float(_chosen(row, guess) in row.answers) for row, guess in pairs])
    return _with_count([float(row.label == guess) for row, guess in pairs])


def _by_class(task: Scored, rows: Sequence[Row], predictions: Sequence[Prediction]) -> Array:
    """Right, predicted and real rows of each class in turn, `[rows, 3 classes]`: pairs would be their square."""
    real, guessed = (np.array([_index(one) for one in column]) for column in ([row.label for row in rows], predictions))
    counts = np.zeros((len(rows), len(task.labels), 3))
    places = np.arange(len(rows))
    counts[places, real, 0] = real == guessed
    counts[places, guessed, 1] = 1
    counts[places, real, 2] = 1
    return counts.reshape(len(rows), -1)


def _one_against_rest(task: Scored, rows: Sequence[Row], predictions: Sequence[Prediction]) -> Array:
    """True positives, predicted positives and real positives of the positive class."""
    positive = list(task.labels).index(task.positive) if task.positive is not None else len(task.labels) - 1
    real = np.array([row.label == positive for row in rows])
    guessed = np.array([guess == positive for guess in predictions])
    return np.stack([real & guessed, guessed, real], axis=1).astype(np.float64)


def _moments(x: Array, y: Array) -> Array:
    # Centred first: the sums of squares of raw values would lose digits.
    x, y = x - x.mean(), y - y.mean()
    return np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)


def _pairs(rows: Sequence[Row], predictions: Sequence[Prediction]) -> tuple[Array, Array]:
    return np.array([_number(row.label) for row in rows]), np.array([_number(guess) for guess in predictions])


def _values(task: Scored, rows: Sequence[Row], predictions: Sequence[Prediction]) -> Array:
    return _moments(*_pairs(rows, predictions))


def _ranks(task: Scored, rows: Sequence[Row], predictions: Sequence[Prediction]) -> Array:
    """Moments of the ranks among all rows, ties sharing their mean rank."""
    return _moments(*map(_rank, _pairs(rows, predictions)))


def _rank(values: Array) -> Array:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: Array = ((ends - counts + ends + 1) / 2)[inverse]
    return ranks


def _answered(score: Callable[[str, str], float]) -> Statistics:
    """The best score of a text against any right answer."""

    def statistics(task: Scored, rows: Sequence[Row], predictions: Sequence[Prediction]) -> Array:
        pairs = zip(rows, predictions, strict=True)
        texts = ((row, _chosen(row, guess) if row.choices else str(guess)) for row, guess in pairs)
        return _with_count([best(score, text, row.answers) for row, text in texts])

    return statistics


def _written(counts: Callable[[str, Sequence[str]], Sequence[float]]) -> Statistics:
    """What a text shares with all right answers together."""

    def statistics(task: Scored, rows: Sequence[Row], predictions: Sequence[Prediction]) -> Array:
        pairs = zip(rows, predictions, strict=True)
        return np.array([counts(str(guess), row.answers) for row, guess in pairs], dtype=np.float64)

    return statistics


def _referents(task: Scored, rows: Sequence[Row], predictions: Sequence[Prediction]) -> Array:
    """T5's WSC: the phrase was named where it is right, another where it is not; to say nothing is wrong."""
    pairs = zip(rows, predictions, strict=True)
    return _with_count([float(names_referent(str(guess), str(row.label)) is bool(row.answers)) for row, guess in pairs])


def _chosen(row: Row, guess: Prediction) -> str:
    if isinstance(guess, str):
        return guess
    choices = row.choices or ()
    if isinstance(guess, tuple) or not 0 <= guess < len(choices):
        raise SoftPromptError(f"row {row.index}: prediction {guess!r} is no index into its {len(choices)} choices")
    return choices[int(guess)]


def _spans(task: Scored, rows: Sequence[Row], predictions: Sequence[Prediction]) -> Array:
    """True positives, predicted and real spans of each type in turn, `[rows, 3 types]`."""
    names = [*task.labels.values(), OUTSIDE]  # -1 is a word without an answer
    types = {name: place for place, name in enumerate(types_of(names))}
    table = np.zeros((len(rows), len(types), 3))
    for counts, row, guess in zip(table, rows, predictions, strict=True):
        real, guessed = (set(spans_of([names[tag] for tag in _tags(one)])) for one in (row.label, guess))
        for column, found in enumerate((real & guessed, guessed, real)):
            for span in found:
                counts[types[span[0]], column] += 1
    return table.reshape(len(rows), -1)


def _tag_hits(task: Scored, rows: Sequence[Row], predictions: Sequence[Prediction]) -> Array:
    """Words whose tag is right, and all words."""
    pairs = [(_tags(row.label), _tags(guess)) for row, guess in zip(rows, predictions, strict=True)]
    hits = [(sum(tag == guess for tag, guess in zip(*pair, strict=True)), len(pair[0])) for pair in pairs]
    return np.array(hits, dtype=np.float64)


def _tags(value: Prediction | None) -> tuple[int, ...]:
    assert isinstance(value, tuple)
    return value


def _index(value: Prediction | None) -> int:
    assert not isinstance(value, tuple)
    return int(value or 0)


def _number(value: Prediction | None) -> float:
    assert not isinstance(value, tuple)
    return float(value or 0)


# -- values of sums --------------------------------------------------------------------------------------


def _ratio(top: Array, bottom: Array) -> Array:
    """`top / bottom`, and 0 where nothing is there to divide by."""
    top, bottom = np.asarray(top, dtype=np.float64), np.asarray(bottom, dtype=np.float64)
    result: Array = np.divide(top, bottom, out=np.zeros(np.broadcast(top, bottom).shape), where=bottom != 0)
    return result


def _mean(sums: Array) -> Array:
    return _ratio(sums[..., 0], sums[..., 1])


def _f1(sums: Array) -> Array:
    return _ratio(2 * sums[..., 0], sums[..., 1] + sums[..., 2])


def _macro_f1(sums: Array) -> Array:
    """Mean F1 of the classes that occur among labels or predictions."""
    right, guessed, real = _threes(sums)
    scores = _ratio(2 * right, guessed + real)
    return _ratio(scores.sum(axis=-1), (guessed + real > 0).sum(axis=-1))


def _cb_score(sums: Array) -> Array:
    right, _, real = _threes(sums)
    return (_ratio(right.sum(axis=-1), real.sum(axis=-1)) + _macro_f1(sums)) / 2


def _matthews(sums: Array) -> Array:
    """Matthews' correlation for any number of classes; 0 where labels or predictions are all alike."""
    by_class, guessed, real = _threes(sums)
    total, right = real.sum(axis=-1), by_class.sum(axis=-1)
    spread = (total**2 - (real**2).sum(axis=-1)) * (total**2 - (guessed**2).sum(axis=-1))
    return _ratio(right * total - (real * guessed).sum(axis=-1), np.sqrt(spread))


def _correlation(sums: Array) -> Array:
    """Pearson's correlation; 0 where labels or predictions are all alike."""
    n, x, y, xx, yy, xy = (sums[..., i] for i in range(6))
    vx, vy = n * xx - x**2, n * yy - y**2
    # What rounding leaves of a constant's variance is no variance.
    alike = (vx <= 1e-12 * n * xx) | (vy <= 1e-12 * n * yy)
    return np.clip(_ratio(n * xy - x * y, np.where(alike, 0.0, np.sqrt(np.maximum(vx * vy, 0.0)))), -1.0, 1.0)


def _by_type(sums: Array) -> Array:
    return sums.reshape(*sums.shape[:-1], -1, 3)


def _threes(sums: Array) -> tuple[Array, Array, Array]:
    """Right, predicted and real ones, each `[..., types or classes]`."""
    counts = _by_type(sums)
    return counts[..., 0], counts[..., 1], counts[..., 2]


def _of_spans(value: Callable[[Array], Array]) -> Metric:
    """A metric over the spans of all types, which the spans of one type have, too."""

    def parts(task: Scored, sums: Array) -> dict[str, Array]:
        return dict(zip(types_of(task.labels.values()), _by_type(sums), strict=True))

    return Metric(("tags",), _spans, lambda sums: value(_by_type(sums).sum(axis=-2)), parts=parts)


def _same(prediction: str, answer: str) -> float:
    return float(normalised(prediction) == normalised(answer))


METRICS: dict[str, Metric] = {
    "accuracy": Metric(("classification", "choice"), _hits, _mean, proportion=True),
    "macro_f1": Metric(("classification",), _by_class, _macro_f1),
    "f1": Metric(("classification",), _one_against_rest, _f1),
    "matthews": Metric(("classification",), _by_class, _matthews),
    # CommitmentBank's score on SuperGLUE: the mean of accuracy and macro-F1.
    "cb_score": Metric(("classification",), _by_class, _cb_score),
    # MultiRC: F1 over all answers, and the share of questions with every answer right.
    "f1a": Metric(("classification",), _one_against_rest, _f1),
    "em": Metric(("classification",), _hits, _mean, by_group=True, proportion=True),
    "pearson": Metric(("regression",), _values, _correlation),
    "spearman": Metric(("regression",), _ranks, _correlation),
    "record_f1": Metric(("choice",), _answered(token_f1), _mean),
    "record_em": Metric(("choice",), _answered(_same), _mean, proportion=True),
    "exact_match": Metric(("generation", "extraction"), _answered(_same), _mean, proportion=True),
    "wsc_accuracy": Metric(("generation",), _referents, _mean, proportion=True),
    "token_f1": Metric(("generation", "extraction"), _answered(token_f1), _mean),
    # Of the corpus, and of the best right text: see `softprompt.tasks.overlap`.
    "bleu": Metric(("generation",), _written(overlap.bleu_counts), overlap.bleu, library="sacrebleu"),
    "chrf": Metric(("generation",), _written(overlap.chrf_counts), overlap.chrf, library="sacrebleu"),
    "rouge1": Metric(("generation",), _answered(overlap.rouge("rouge1")), _mean, library="rouge_score"),
    "rouge2": Metric(("generation",), _answered(overlap.rouge("rouge2")), _mean, library="rouge_score"),
    "rougeL": Metric(("generation",), _answered(overlap.rouge("rougeL")), _mean, library="rouge_score"),
    "p_at_1": Metric(("fact",), facts.ranked(lambda rank: rank == 1), _mean, proportion=True),
    "p_at_10": Metric(("fact",), facts.ranked(lambda rank: rank <= 10), _mean, proportion=True),
    "mrr": Metric(("fact",), facts.ranked(lambda rank: 1 / rank), _mean),
    # CoNLL's, as seqeval counts them: a span is right where its type and all of its words are.
    "span_f1": _of_spans(_f1),
    "span_precision": _of_spans(lambda sums: _ratio(sums[..., 0], sums[..., 1])),
    "span_recall": _of_spans(lambda sums: _ratio(sums[..., 0], sums[..., 2])),
    "token_accuracy": Metric(("tags",), _tag_hits, _mean),
}
