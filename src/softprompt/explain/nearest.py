r"""Nearest words: which vocabulary embeddings a prompt's rows lie beside.

Lester, Al-Rfou, Constant, "The Power of Scale for Parameter-Efficient Prompt Tuning", EMNLP 2021, section 7,
<https://arxiv.org/abs/2104.08691>: for each row p_i the tokens v with the largest cosine

    cos(p_i, e(v)) = <p_i, e(v)> / (|p_i| |e(v)|),   v over the whole vocabulary

The paper reads three things from the list, each a number here: neighbours form clusters (how alike they are among
themselves, against those of random vectors of the same norms, `softprompt.explain.clusters`), rows of long prompts
repeat a neighbour, and label words stay near a prompt that started from them. The norm ratio |p_i| / mean_v |e(v)| is
ours: far above one the nearest word says little of what the row does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, SupportsIndex

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from softprompt.backbones.anatomy import read_anatomy
from softprompt.backbones.vocabulary import embed_ids, pieces
from softprompt.errors import SoftPromptError, quoted
from softprompt.explain.beginning import beginning_of, words_apart
from softprompt.explain.clusters import Clusters, clusters_of, random_draws
from softprompt.explain.removal import Effect, Removal, effects_of
from softprompt.explain.vectors import as_text, embeddings
from softprompt.guards.kinds import check_kind, several
from softprompt.guards.summaries import Summarised, Summary
from softprompt.guards.tokenizing import token_ids
from softprompt.inference.batches import Tick
from softprompt.storage.prompt import Prompt
from softprompt.tasks import Row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Neighbour:
    """A vocabulary token beside a row.

    Attributes:
        token: as text; a leading `_` stands for a space.
        id: in the vocabulary.
        cosine: to the row.
    """

    token: str
    id: int
    cosine: float


@dataclass(frozen=True)
class RowReading:
    """One row of the prompt.

    Attributes:
        row: its place, from 0.
        norm_ratio: its norm over the vocabulary's mean norm.
        neighbours: the nearest tokens, the nearest first.
        control: the largest cosine of a random vector of the same norm.
        start: the word that it started from, or None; see `softprompt.explain.beginning`.
        moved: how far it is from its start, in distances between words; None where that was not recorded.
        without: what changes where it is removed; None where that was not measured.
    """

    row: int
    norm_ratio: float
    neighbours: tuple[Neighbour, ...]
    control: float
    start: str | None = None
    moved: float | None = None
    without: Effect | None = None


@dataclass(frozen=True)
class LabelReading:
    """Where a label word stands among the vocabulary, seen from the row that ranks it first.

    Attributes:
        word: the label word; one of several tokens is the mean of their embeddings.
        rank: 1 where no token is nearer to that row.
        row: that row.
        cosine: to that row.
    """

    word: str
    rank: int
    row: int
    cosine: float


@dataclass(frozen=True, repr=False)
class Nearest(Summarised):
    """The reading of a prompt.

    Attributes:
        rows: one a virtual token.
        labels: one a label word of the task.
        repeated: share of rows whose nearest token is another row's nearest token, too.
        control_repeated: the same of the random vectors.
        vocabulary: how many tokens were compared with.
        apart: the distance between two of them, the root mean square over all pairs.
        note: what there is to say of where the rows started, or None.
        removal: on which rows it was measured what the prompt does without each token, and what with all; or None.
        clusters: how alike each row's neighbours are among themselves; None for one neighbour a row.
    """

    rows: tuple[RowReading, ...]
    labels: tuple[LabelReading, ...]
    repeated: float
    control_repeated: float
    vocabulary: int
    apart: float
    note: str | None = None
    removal: Removal | None = None
    clusters: Clusters | None = None

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return asdict(self)

    def summary(self) -> Summary:
        """What a notebook shows of it."""
        columns, rows = table_of(self)
        return Summary("Nearest words" + ("" if self.note is None else f"; {self.note}"), columns=columns, rows=rows)


def nearest_words(
    prompt: Prompt,
    *,
    k: int = 5,
    seed: int = 0,
    rows: Sequence[Row] = (),
    batch_size: int = 32,
    tick: Tick | None = None,
) -> Nearest:
    """Read a prompt of the site `stream`.

    Args:
        prompt: a loaded prompt.
        k: neighbours a row.
        seed: of the random vectors.
        rows: labelled rows, on which the effect of removing each virtual token is measured; none for no measure.
        batch_size: of these rows, a forward pass.
        tick: told how many of them are done, of one pass with all tokens and one without each.

    Raises:
        SoftPromptError: the prompt has no embeddings of its own, or there is no tokenizer.

    Example:
        >>> [len(row.neighbours) for row in sp.nearest_words(prompt, k=3).rows]
        [3, 3]
    """
    _check_asked(prompt, k)
    rows = several("nearest_words", "rows", rows, Row)
    anatomy = read_anatomy(prompt.model)
    vectors = embeddings(prompt.producer, anatomy.embedding_size, prompt.method.name)
    table = _vocabulary(anatomy.embedding, min(anatomy.vocab_size, len(prompt.tokenizer)))
    removal, effects = effects_of(prompt, rows, batch_size=batch_size, tick=tick) if rows else (None, None)
    units, draws = normalize(table, dim=-1), random_draws(vectors, seed)
    cosines, control = (normalize(one, dim=-1) @ units.T for one in (vectors, draws[0]))
    beginning = beginning_of(prompt, vectors, table)
    values, ids = cosines.topk(min(k, cosines.shape[1]), dim=-1)
    labels = () if prompt.task is None else prompt.task.label_words(anatomy.kind == "encoder-decoder")
    return Nearest(
        tuple(
            RowReading(
                row,
                float(vectors[row].norm() / table.norm(dim=-1).mean()),
                _neighbours(prompt.tokenizer, ids[row], values[row]),
                float(control[row].max()),
                beginning.words[row],
                None if beginning.moved is None else beginning.moved[row],
                None if effects is None else effects[row],
            )
            for row in range(len(vectors))
        ),
        tuple(_label(word, prompt.tokenizer, vectors, cosines, table) for word in labels),
        _repeated(ids[:, 0].tolist()),
        _repeated(control.argmax(-1).tolist()),
        len(table),
        words_apart(table),
        beginning.note,
        removal,
        clusters_of(units, ids, draws),
    )


def _check_asked(prompt: Prompt, k: int) -> None:
    """Raise `SoftPromptError` where something else is asked than neighbours of a prompt that has words."""
    check_kind("nearest_words", "prompt", prompt, Prompt)
    if not isinstance(k, SupportsIndex) or k < 1:
        raise SoftPromptError(f"nearest_words: k {quoted(k)}: give a whole number, 1 or more")
    if prompt.tokenizer is None:
        raise SoftPromptError("nearest words need the backbone's tokenizer: load the prompt with it")


def _neighbours(tokenizer: PreTrainedTokenizerBase, ids: Tensor, cosines: Tensor) -> tuple[Neighbour, ...]:
    found = zip(ids.tolist(), cosines.tolist(), strict=True)
    return tuple(Neighbour(as_text(tokenizer, token), token, cosine) for token, cosine in found)


def _vocabulary(embedding: nn.Module, size: int) -> Tensor:
    """Every token's embedding as the model's own module gives it: fp32 on the CPU, `(V, E)`."""
    return torch.cat([embed_ids(embedding, ids).cpu() for ids in pieces(size)])


def _repeated(nearest: Sequence[int]) -> float:
    counts = Counter(nearest)
    return sum(count for count in counts.values() if count > 1) / len(nearest)


def _label(word: str, tokenizer: PreTrainedTokenizerBase, rows: Tensor, cosines: Tensor, table: Tensor) -> LabelReading:
    """A word's best rank over the rows, and over its spellings with and without a space in front."""
    spellings = {tuple(token_ids(tokenizer, text)) for text in (word, f" {word}")}
    found = []
    for ids in sorted(spellings - {()}):
        own = normalize(table[list(ids)].mean(0), dim=-1)
        to_rows = normalize(rows, dim=-1) @ own
        # A hair of room: the word's own cosine is computed twice, and rounding must not put it before itself.
        ranks = (cosines > to_rows[:, None] + 1e-6).sum(-1) + 1
        row = int(torch.argmin(ranks))
        found.append(LabelReading(word, int(ranks[row]), row, float(to_rows[row])))
    return min(found, key=lambda reading: (reading.rank, -reading.cosine))


def table_of(reading: Nearest) -> tuple[list[str], list[list[str]]]:
    """The names of the columns, and a line of texts for each row; where the effects were measured they have two."""
    removal = reading.removal
    measured = [] if removal is None else ["loss", removal.metric]
    columns = ["row", "start", "moved", *measured, "norm ratio", "random", "together", "nearest words (cosine)"]
    together = [None] * len(reading.rows) if reading.clusters is None else reading.clusters.rows
    return columns, [_cells(row, len(measured), one) for row, one in zip(reading.rows, together, strict=True)]


def _cells(row: RowReading, measured: int, together: float | None) -> list[str]:
    effect = row.without
    changes = () if effect is None else (effect.loss, effect.metric)
    return [
        str(row.row),
        "-" if row.start is None else row.start,
        "-" if row.moved is None else f"{row.moved:.3f}",
        *("-" if change is None else f"{change:+.3f}" for change in changes[:measured]),
        f"{row.norm_ratio:.2f}",
        f"{row.control:.2f}",
        "-" if together is None else f"{together:.2f}",
        "  ".join(f"{one.token} {one.cosine:.2f}" for one in row.neighbours),
    ]


def lines_of(reading: Nearest) -> list[str]:
    """What there is to say beside the table."""
    found = [] if reading.note is None else [reading.note]
    if any(row.moved is not None for row in reading.rows):
        found.append(f"moved: in distances between words (of {reading.apart:.3g}, root mean square over all pairs)")
    removal = reading.removal
    if removal is not None:
        with_all = f"{'-' if removal.loss is None else f'{removal.loss:.3f}'} and {removal.value:.3f} with all"
        found.append(f"loss, {removal.metric}: their change without that token, on {removal.rows} rows ({with_all})")
    clusters = reading.clusters
    if clusters is not None:
        random = f"{clusters.random:.3f}, deviation {clusters.random_deviation:.3f}"
        found.append(f"together: how alike a row's nearest words are among themselves, {clusters.mean:.3f} on average")
        found.append(f"({clusters.random_vectors} random vectors of the rows' norms: {random})")
    found.append(
        f"rows that share their nearest word: {reading.repeated:.0%} (random vectors: {reading.control_repeated:.0%})"
    )
    return found + [
        f"label word {label.word!r}: rank {label.rank:,} of {reading.vocabulary:,} beside row {label.row}"
        for label in reading.labels
    ]
