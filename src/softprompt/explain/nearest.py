r"""Nearest words: which vocabulary embeddings a prompt's rows lie beside.

Lester, Al-Rfou, Constant, "The Power of Scale for Parameter-Efficient Prompt Tuning", EMNLP 2021, section 7,
<https://arxiv.org/abs/2104.08691>: for each row p_i the tokens v with the largest cosine

    cos(p_i, e(v)) = <p_i, e(v)> / (|p_i| |e(v)|),   v over the whole vocabulary

The paper reads three things from the list, each a number here: neighbours form clusters (against random vectors of the
same norm, which do not), rows of long prompts repeat a neighbour, and label words stay near a prompt that started from
them. The norm ratio |p_i| / mean_v |e(v)| is ours: far above one the nearest word says little of what the row does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import plotly.graph_objects as go
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from softprompt.backbones.anatomy import read_anatomy
from softprompt.backbones.vocabulary import embed_ids, pieces
from softprompt.errors import SoftPromptError, quoted
from softprompt.explain.page import LOOK, inert, write_page
from softprompt.explain.vectors import embeddings
from softprompt.guards.tokenizing import token_ids
from softprompt.storage.prompt import Prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Vocabulary rows embedded at a time.


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
    """

    row: int
    norm_ratio: float
    neighbours: tuple[Neighbour, ...]
    control: float


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


@dataclass(frozen=True)
class Nearest:
    """The reading of a prompt.

    Attributes:
        rows: one a virtual token.
        labels: one a label word of the task.
        repeated: share of rows whose nearest token is another row's nearest token, too.
        control_repeated: the same of the random vectors.
        vocabulary: how many tokens were compared with.
    """

    rows: tuple[RowReading, ...]
    labels: tuple[LabelReading, ...]
    repeated: float
    control_repeated: float
    vocabulary: int

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return asdict(self)


def nearest_words(prompt: Prompt, *, k: int = 5, seed: int = 0) -> Nearest:
    """Read a prompt of the site `stream`.

    Args:
        prompt: a loaded prompt.
        k: neighbours a row.
        seed: of the random vectors.

    Raises:
        SoftPromptError: the prompt has no embeddings of its own, or there is no tokenizer.

    Example:
        >>> [len(row.neighbours) for row in sp.nearest_words(prompt, k=3).rows]
        [3, 3]
    """
    if prompt.tokenizer is None:
        raise SoftPromptError("nearest words need the backbone's tokenizer: load the prompt with it")
    anatomy = read_anatomy(prompt.model)
    rows = embeddings(prompt.producer, anatomy.embedding_size, prompt.method.name)
    table = _vocabulary(anatomy.embedding, min(anatomy.vocab_size, len(prompt.tokenizer)))
    units = normalize(table, dim=-1)
    cosines, control = (normalize(vectors, dim=-1) @ units.T for vectors in (rows, _random_like(rows, seed)))
    values, ids = cosines.topk(min(k, cosines.shape[1]), dim=-1)
    ratios = (rows.norm(dim=-1) / table.norm(dim=-1).mean()).tolist()
    controls, control_ids = control.max(-1)
    readings = tuple(
        RowReading(
            row,
            ratios[row],
            tuple(
                Neighbour(as_text(prompt.tokenizer, token), token, value)
                for token, value in zip(ids[row].tolist(), values[row].tolist(), strict=True)
            ),
            float(controls[row]),
        )
        for row in range(len(rows))
    )
    labels = () if prompt.task is None else prompt.task.label_words(anatomy.kind == "encoder-decoder")
    return Nearest(
        readings,
        tuple(_label(word, prompt.tokenizer, rows, cosines, table) for word in labels),
        _repeated(ids[:, 0].tolist()),
        _repeated(control_ids.tolist()),
        len(table),
    )


def _random_like(rows: Tensor, seed: int) -> Tensor:
    """Random vectors with the norms of the rows, `(m, D)`."""
    if not -(1 << 63) <= seed < 1 << 63:
        raise SoftPromptError(f"seed {quoted(seed)}: give a whole number of at most 18 digits")
    random = torch.randn(rows.shape, generator=torch.Generator().manual_seed(seed))
    made: Tensor = normalize(random, dim=-1) * rows.norm(dim=-1, keepdim=True)
    return made


def as_text(tokenizer: PreTrainedTokenizerBase, token: int) -> str:
    """A token as text, a leading space as `_`."""
    piece = str(tokenizer.convert_ids_to_tokens(token))
    text = str(tokenizer.decode([token])).strip()
    if not text or "�" in text:
        return piece
    return f"_{text}" if piece[:1] in ("▁", "Ġ") else text


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


def nearest_page(reading: Nearest, path: str | Path, title: str) -> Path:
    """Write a page with two figures: the neighbours of each row, and each row against chance.

    Raises:
        SoftPromptError: the place cannot be written.
    """
    lines = [
        f"{len(reading.rows)} virtual tokens against {reading.vocabulary:,} vocabulary tokens. Rows that share their "
        f"nearest token: {reading.repeated:.0%} (random vectors: {reading.control_repeated:.0%}).",
        *(
            f"Label word '{label.word}': rank {label.rank:,} beside row {label.row}, cosine {label.cosine:.2f}."
            for label in reading.labels
        ),
    ]
    return write_page(path, title, lines, [neighbours_figure(reading), control_figure(reading)])


def neighbours_figure(reading: Nearest) -> go.Figure:
    """A cell for each row and neighbour: the token, its cosine as colour."""
    figure = go.Figure(
        go.Heatmap(
            z=[[one.cosine for one in row.neighbours] for row in reading.rows],
            text=[[one.token for one in row.neighbours] for row in reading.rows],
            texttemplate="%{text}",
            x=[f"{place}." for place in range(1, len(reading.rows[0].neighbours) + 1)],
            y=[row.row for row in reading.rows],
            colorscale="Blues",
            colorbar={"title": "cosine"},
            hovertemplate="row %{y}: %{text}, cosine %{z:.3f}<extra></extra>",
        )
    )
    figure.update_yaxes(autorange="reversed", title="virtual token", dtick=1)
    figure.update_layout(title="Nearest words", height=160 + 26 * len(reading.rows), **LOOK)
    return inert(figure)


def control_figure(reading: Nearest) -> go.Figure:
    """The cosine of each row's nearest word beside that of a random vector of the same norm, and the norm ratio."""
    places = [row.row for row in reading.rows]
    figure = go.Figure()
    figure.add_bar(x=places, y=[row.neighbours[0].cosine for row in reading.rows], name="nearest word")
    figure.add_bar(x=places, y=[row.control for row in reading.rows], name="random vector")
    figure.add_scatter(
        x=places, y=[row.norm_ratio for row in reading.rows], name="norm ratio", yaxis="y2", mode="markers+lines"
    )
    figure.update_layout(
        title="Against chance",
        xaxis_title="virtual token",
        yaxis_title="cosine",
        yaxis2={"title": "norm / vocabulary's mean norm", "overlaying": "y", "side": "right", "rangemode": "tozero"},
        legend={"orientation": "h"},
        height=420,
        **LOOK,
    )
    return inert(figure)
