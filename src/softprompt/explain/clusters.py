r"""Whether a row's nearest words belong together: how alike they are among themselves, against those of random vectors.

Lester et al. 2021, section 7, <https://arxiv.org/abs/2104.08691>: the neighbours of learned rows form tight clusters of
words, those of random vectors do not. The measure is ours: the mean cosine over all pairs of a row's k neighbours,

    together_i = 2 / (k (k - 1)) * sum_{u < v} cos(e(u), e(v)),   u, v among the k nearest of p_i

In a vocabulary whose embeddings all point one way any words are alike, so that the number says something beside the
same of random vectors alone: standard normal directions with the norms of the rows, each row's as often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from softprompt.errors import SoftPromptError, quoted

_LEAST = 64  # random vectors: their mean is then known to an eighth of their deviation


@dataclass(frozen=True)
class Clusters:
    """How alike nearest words are among themselves: mean cosines over all pairs of a vector's neighbours.

    Attributes:
        rows: of each row of the prompt.
        mean: over these.
        random: the mean over the random vectors.
        random_deviation: over the random vectors.
        random_vectors: how many there were.
    """

    rows: tuple[float, ...]
    mean: float
    random: float
    random_deviation: float
    random_vectors: int


def random_draws(rows: Tensor, seed: int) -> list[Tensor]:
    """Random vectors with the norms of the rows, `(m, D)` each, as many times as make 64 vectors or more.

    Raises:
        SoftPromptError: a seed that is none.
    """
    if not -(1 << 63) <= seed < 1 << 63:
        raise SoftPromptError(f"seed {quoted(seed)}: give a whole number of at most 18 digits")
    generator, norms = torch.Generator().manual_seed(seed), rows.norm(dim=-1, keepdim=True)
    times = -(-_LEAST // len(rows))
    return [normalize(torch.randn(rows.shape, generator=generator), dim=-1) * norms for _ in range(times)]


def clusters_of(units: Tensor, ids: Tensor, draws: Sequence[Tensor]) -> Clusters | None:
    """How alike the neighbours are; None where one neighbour was asked for, which has no pair.

    Args:
        units: the vocabulary's embeddings at length one, `(V, D)`.
        ids: the neighbours of each row, `(m, k)`.
        draws: of `random_draws`.
    """
    count = ids.shape[1]
    if count < 2:
        return None
    own = together(units, ids)
    nearest = ((normalize(draw, dim=-1) @ units.T).topk(count, dim=-1).indices for draw in draws)
    random = torch.cat([together(units, one) for one in nearest])
    return Clusters(
        tuple(own.tolist()), float(own.mean()), float(random.mean()), float(random.std(correction=0)), len(random)
    )


def together(units: Tensor, ids: Tensor) -> Tensor:
    """The mean cosine over all pairs of each row's neighbours, `(m,)`.

    Args:
        units: the vocabulary's embeddings at length one, `(V, D)`.
        ids: `(m, k)`, k from 2 on.
    """
    count = ids.shape[1]
    # |sum_u e(u)|^2 holds every pair twice, and each vector with itself: k ones.
    squares = units[ids].sum(1).square().sum(-1)
    return (squares - count) / (count * (count - 1))
