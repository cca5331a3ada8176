r"""How alike saved prompts are: which task's prompt to start another from.

Vu et al., "SPoT: Better Frozen Model Adaptation through Soft Prompt Transfer", ACL 2022,
<https://arxiv.org/abs/2110.07904>, section 3: with the rows p_1..p_m of one prompt and q_1..q_n of another,

    mean tokens:      cos( (1/m) sum_i p_i , (1/n) sum_j q_j )
    pairs of tokens:  (1 / m n) sum_i sum_j cos(p_i, q_j)

The paper takes prompts of the input embeddings. Here any table of virtual tokens can be compared with others of its
site and width on the same backbone; the rows of methods that work in every layer are those of all layers, joined.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from softprompt.backbones.fingerprint import difference
from softprompt.errors import SoftPromptError
from softprompt.explain.vectors import stored_rows
from softprompt.guards.kinds import several
from softprompt.guards.summaries import Summarised, Summary
from softprompt.pages.heat import Cells, Colours, heat
from softprompt.pages.parts import Figure
from softprompt.pages.shell import write_page
from softprompt.storage.record import Description

Matrix = tuple[tuple[float, ...], ...]
TITLES = {"mean_tokens": "cosine of the mean tokens", "token_pairs": "mean cosine of the token pairs"}


@dataclass(frozen=True, repr=False)
class Similarity(Summarised):
    """Symmetric matrices over prompts.

    Attributes:
        names: of the prompts, in the order given.
        tasks: what each was trained for.
        mean_tokens: cosine of the mean tokens; one on the diagonal.
        token_pairs: mean cosine over the pairs of tokens; below one on the diagonal where a prompt's tokens differ.
    """

    names: tuple[str, ...]
    tasks: tuple[str, ...]
    mean_tokens: Matrix
    token_pairs: Matrix

    def summary(self) -> Summary:
        """What a notebook shows of it: the first matrix, which is the one that a source is chosen by."""
        rows = [
            [name, *(f"{value:.2f}" for value in row)] for name, row in zip(self.names, self.mean_tokens, strict=True)
        ]
        numbers = [str(place) for place in range(1, len(rows) + 1)]
        return Summary(f"Similarity: {TITLES['mean_tokens']}", columns=["prompt", *numbers], rows=rows)

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return asdict(self)

    def nearest(self, place: int) -> int | None:
        """The other prompt with the most similar mean token; None where there is no other."""
        others = [index for index in range(len(self.names)) if index != place]
        return max(others, key=lambda index: self.mean_tokens[place][index], default=None)


def similarity_of(folders: Sequence[str | Path]) -> Similarity:
    """Compare prompt folders or runs; no backbone is loaded.

    Raises:
        SoftPromptError: fewer than two, a folder without a prompt, or prompts that cannot be compared.

    Example:
        >>> round(sp.similarity_of(["runs/first", "runs/first/prompt"]).mean_tokens[0][1], 6)
        1.0
    """
    folders = several("similarity_of", "folders", folders, (str, PathLike))
    if len(folders) < 2:
        raise SoftPromptError("one prompt has nothing to be compared with: name two prompts or more")
    found = [stored_rows(folder) for folder in folders]
    for folder, other in zip(folders[1:], found[1:], strict=True):
        _check(Path(folders[0]), found[0], Path(folder), other)
    tables = [rows for rows, _ in found]
    tasks = tuple("" if one.task is None else one.task.name for _, one in found)
    return Similarity(tuple(map(str, folders)), tasks, _matrix(tables, mean_tokens), _matrix(tables, token_pairs))


def mean_tokens(one: Tensor, other: Tensor) -> float:
    """Cosine of the mean rows of `(m, D)` and `(n, D)`."""
    return float(normalize(one.mean(0), dim=-1) @ normalize(other.mean(0), dim=-1))


def token_pairs(one: Tensor, other: Tensor) -> float:
    """Mean cosine over all pairs of rows of `(m, D)` and `(n, D)`."""
    return float((normalize(one, dim=-1) @ normalize(other, dim=-1).T).mean())


def _matrix(tables: Sequence[Tensor], metric: Callable[[Tensor, Tensor], float]) -> Matrix:
    # In double precision, so that the order of two prompts makes no difference that shows.
    exact = [rows.to(torch.float64) for rows in tables]
    return tuple(tuple(metric(one, other) for other in exact) for one in exact)


def _check(first: Path, one: tuple[Tensor, Description], path: Path, other: tuple[Tensor, Description]) -> None:
    (rows, described), (other_rows, other_described) = one, other
    differs = difference(described.record.backbone, other_described.record.backbone)
    if differs is not None:
        raise SoftPromptError(f"{first} and {path} belong to different backbones ({differs}): compare within one")
    method, other_method = described.method, other_described.method
    if method.site != other_method.site or rows.shape[1] != other_rows.shape[1]:
        raise SoftPromptError(
            f"{first} ({method.name}, rows of {rows.shape[1]}) and {path} ({other_method.name}, rows of "
            f"{other_rows.shape[1]}) cannot be compared: take prompts of one method"
        )


def similarity_page(similarity: Similarity, path: str | Path, title: str) -> Path:
    """Write a page with both matrices as heat maps.

    Raises:
        SoftPromptError: the place cannot be written.
    """
    return write_page(path, title, [f"{len(similarity.names)} prompts of one method."], similarity_figures(similarity))


def similarity_figures(similarity: Similarity) -> list[Figure]:
    """A heat map for each metric."""
    captions = {
        "mean_tokens": "The cosine of the means of two prompts' tokens: SPoT's first metric.",
        "token_pairs": "The mean cosine over all pairs of a token of the one and a token of the other: SPoT's second "
        "metric. A prompt beside itself is below one where its tokens differ.",
    }
    names = [f"{place}. {name}" for place, name in enumerate(_labels(similarity), 1)]
    numbers = [f"{place}." for place in range(1, len(names) + 1)]
    figures = []
    for metric, title in TITLES.items():
        values: Matrix = getattr(similarity, metric)
        texts = [[f"{value:.2f}" for value in row] for row in values]
        cells = Cells(values, names, numbers, texts)
        figures.append(heat(title.capitalize(), captions[metric], cells, Colours("cosine", -1, 1, two_ways=True)))
    return figures


def _labels(similarity: Similarity) -> list[str]:
    """Tasks where they tell the prompts apart, else the folders' last parts."""
    if all(similarity.tasks) and len(set(similarity.tasks)) == len(similarity.tasks):
        return list(similarity.tasks)
    return [Path(name).name for name in similarity.names]
