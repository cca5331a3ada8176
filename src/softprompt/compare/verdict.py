"""What is taken in the end, and the sentences that say why: by scores, or where there are none by the order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from softprompt.compare.choice_record import Tried
from softprompt.compare.race import HeldOut, Taken, taken
from softprompt.errors import SoftPromptError
from softprompt.progress import duration


@dataclass(frozen=True)
class Verdict:
    """What is taken.

    Attributes:
        place: among those that were tried.
        why: in a sentence.
        notes: why each of the others is not, by place.
    """

    place: int
    why: str
    notes: Mapping[int, str]


def by_score(tried: Sequence[Tried], answers: Mapping[int, HeldOut]) -> Verdict:
    """Take one of those that were measured on all folds; see `softprompt.compare.race`.

    Args:
        tried: all.
        answers: of those that were measured, by place.
    """
    places = list(answers)
    found = taken([answers[place] for place in places], [tried[place].stored_bytes for place in places])
    chosen, best = places[found.place], places[found.best]
    notes = {}
    for place in places:
        gap = answers[place].behind(answers[best])
        if place == best:
            notes[place] = f"the best, and {tried[chosen].label} cannot be told from it"
        elif gap.tied:
            notes[place] = f"cannot be told from {tried[best].label}, and stores {tried[place].stored_bytes:,} bytes"
        else:
            notes[place] = f"behind {tried[best].label} by {gap.mean:.3f}, error {gap.error:.3f}"
    notes[chosen] = "taken"
    return Verdict(chosen, _because(tried, places, found, answers), notes)


def _because(tried: Sequence[Tried], places: Sequence[int], found: Taken, answers: Mapping[int, HeldOut]) -> str:
    """The sentence of what was taken by score."""
    chosen, best, others = places[found.place], places[found.best], len(found.tied) - 1
    own, first = f"{tried[chosen].label} is taken", f"{answers[best].score:.3f}"
    if len(places) == 1:
        return f"{own}: it alone was measured to its end"
    if not others:
        return f"{own}: its {first} is the best of {len(places)}, and no other is within one standard error of it"
    if chosen == best:
        return f"{own}: its {first} is the best of {len(places)}; {others} cannot be told from it, and none is smaller"
    gap = answers[chosen].behind(answers[best])
    return (
        f"{own}: its {answers[chosen].score:.3f} cannot be told from the {first} of {tried[best].label} (behind by "
        f"{gap.mean:.3f}, standard error {gap.error:.3f}), and of {others + 1} such it stores the fewest bytes"
    )


def by_order(tried: Sequence[Tried], left: float, why: str) -> Verdict:
    """Take the first of the shortlist whose run fits into the time that is left.

    Args:
        tried: all, in their order.
        left: seconds.
        why: nothing decides but the order.

    Raises:
        SoftPromptError: there is no time for any.
    """
    able = {
        place: one.run_seconds
        for place, one in enumerate(tried)
        if one.state != "failed" and one.run_seconds is not None
    }
    if not able:
        raise SoftPromptError(f"no method can be trained: {tried[0].method}: {tried[0].why}")
    place = next((place for place, seconds in able.items() if seconds <= left), None)
    if place is None:
        least = min(able, key=lambda one: able[one])
        raise SoftPromptError(
            f"there is no time for any method: the shortest run, that of {tried[least].method}, takes about "
            f"{duration(able[least])}, and {duration(max(0.0, left))} are left: give more minutes, or fewer epochs"
        )
    one = tried[place]
    return Verdict(place, f"{one.label} is taken unmeasured, since {why}: {one.evidence}", {place: "taken"})
