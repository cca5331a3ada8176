"""The page of a prompt's nearest words: a table of its rows, their neighbours as a grid, and each against chance."""

from __future__ import annotations

from pathlib import Path

from softprompt.explain.nearest import Nearest, lines_of, table_of
from softprompt.pages.dots import Axis, Dot, dots
from softprompt.pages.heat import Cells, Colours, heat
from softprompt.pages.parts import Figure, Part, Table
from softprompt.pages.shell import write_page


def nearest_page(reading: Nearest, path: str | Path, title: str) -> Path:
    """Write a page: where each row began and what it does, the neighbours of each, and each row against chance.

    Raises:
        SoftPromptError: the place cannot be written.
    """
    first = f"{len(reading.rows)} virtual tokens against {reading.vocabulary:,} vocabulary tokens."
    return write_page(path, title, [first, *lines_of(reading)], nearest_parts(reading))


def nearest_parts(reading: Nearest) -> list[Part]:
    """The table and the figures of a reading."""
    columns, rows = table_of(reading)
    # The words stand in the grid below.
    table = Table("Virtual tokens", tuple(columns[:-1]), tuple(tuple(row[:-1]) for row in rows))
    return [
        neighbours_figure(reading),
        table,
        control_figure(reading),
        norms_figure(reading),
        *together_figures(reading),
    ]


def neighbours_figure(reading: Nearest) -> Figure:
    """A cell for each row and neighbour: the token, its cosine as colour."""
    cells = Cells(
        [[one.cosine for one in row.neighbours] for row in reading.rows],
        [str(row.row) for row in reading.rows],
        [f"{place}." for place in range(1, len(reading.rows[0].neighbours) + 1)],
        [[one.token for one in row.neighbours] for row in reading.rows],
        across="neighbour",
        down="virtual token",
    )
    caption = (
        "For each virtual token (down) the words of the vocabulary with the largest cosine (across), which the colour "
        "tells: a word of low cosine is a neighbour by chance, see below. Nearest is not the same as meant."
    )
    return heat("Nearest words", caption, cells, Colours("cosine", 0, 1))


def control_figure(reading: Nearest) -> Figure:
    """The cosine of each row's nearest word beside that of a random vector of the same norm."""
    items = [
        Dot(_name(row.row, row.neighbours[0].token), row.neighbours[0].cosine, others=(row.control,))
        for row in reading.rows
    ]
    caption = (
        "The cosine of each virtual token and its nearest word, beside the largest cosine that a random vector of the "
        "same norm has with any word of this vocabulary: a dot at that mark is what chance gives."
    )
    return dots("Against chance", caption, items, Axis("cosine with the nearest word"), ("random vector",))


def norms_figure(reading: Nearest) -> Figure:
    """The norm of each row over the mean norm of the vocabulary."""
    items = [Dot(_name(row.row, row.neighbours[0].token), row.norm_ratio) for row in reading.rows]
    caption = (
        "The norm of each virtual token over the mean norm of the vocabulary's embeddings. Far above one a row is no "
        "word, whatever lies nearest."
    )
    return dots("Norms", caption, items, Axis("norm / mean norm of words", None, {"a usual word": 1.0}))


def together_figures(reading: Nearest) -> list[Figure]:
    """How alike each row's nearest words are among themselves, beside random vectors; none without pairs."""
    found = reading.clusters
    if found is None:
        return []
    items = [
        Dot(_name(row.row, row.neighbours[0].token), one) for row, one in zip(reading.rows, found.rows, strict=True)
    ]
    low, high = (found.random + sign * found.random_deviation for sign in (-1, 1))
    band = (low, high, f"{found.random_vectors} random vectors, one deviation to each side")
    caption = (
        "The mean cosine over all pairs of a virtual token's nearest words; the band is the same of random vectors of "
        "the rows' norms, mean and deviation. Lester et al. find clusters beside learned rows and none beside random."
    )
    return [dots("Nearest words among themselves", caption, items, Axis("mean cosine of all pairs", band=band))]


def _name(row: int, word: str) -> str:
    return f"token {row}: {word}"
