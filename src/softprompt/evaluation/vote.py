"""The vote of several prompts on one row; the module `ensemble` tells how ties are settled."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from softprompt.readouts import Outcome
from softprompt.tasks.answers import normalised


@dataclass(frozen=True)
class Ballot(Outcome):
    """The vote on one row; `probabilities` and `loss` are those of the mean probability.

    Attributes:
        by_mean: the answer with the largest mean probability.
        members: what each prompt answered.
    """

    by_mean: int | float | str
    members: tuple[Outcome, ...]


def ballot(members: Sequence[Outcome]) -> Ballot:
    """The vote of one row's answers; see `ensemble` for ties."""
    first, chances = members[0].value, _mean_chances(members)
    loss = _loss(members)
    if isinstance(first, str):
        text = _by_text([str(member.prediction) for member in members])
        return Ballot(text, None, loss, text, tuple(members))
    if isinstance(first, float):
        mean = fmean(float(member.value) for member in members)
        return Ballot(mean, chances, loss, mean, tuple(members))
    by_mean = first if chances is None else chances.index(max(chances))
    return Ballot(_majority(members), chances, loss, by_mean, tuple(members))


def _majority(members: Sequence[Outcome]) -> int:
    votes = Counter(int(member.value) for member in members)
    tied = sorted(index for index, count in votes.items() if count == max(votes.values()))
    # The first of equals is the lowest index.
    return max(tied, key=lambda index: sum(_log(member, index) for member in members))


def _log(member: Outcome, index: int) -> float:
    chance = member.probabilities[index] if member.probabilities else 1.0
    return math.log(chance) if chance > 0 else -math.inf


def _by_text(texts: Sequence[str]) -> str:
    votes = Counter(normalised(text) for text in texts)
    return max(texts, key=lambda text: votes[normalised(text)])


def _mean_chances(members: Sequence[Outcome]) -> tuple[float, ...] | None:
    given = [member.probabilities for member in members if member.probabilities is not None]
    return tuple(fmean(column) for column in zip(*given, strict=True)) if len(given) == len(members) else None


def _loss(members: Sequence[Outcome]) -> float | None:
    """Of a class or candidate -log of the mean probability of the right one; else the mean of the losses."""
    losses = [member.loss for member in members if member.loss is not None]
    if len(losses) < len(members):
        return None
    if not isinstance(members[0].prediction, int):
        return fmean(losses)
    least = min(losses)
    return least if math.isinf(least) else least - math.log(fmean(math.exp(least - loss) for loss in losses))
