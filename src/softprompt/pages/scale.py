"""Values on a line of a picture, and round numbers to stand beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """Values on a line of the picture.

    Attributes:
        low: the value at its beginning.
        high: at its end.
        start: where it begins.
        end: where it ends.
    """

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The place of a value; the middle where there is but one."""
        if self.high <= self.low:
            return (self.start + self.end) / 2
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers between two ends, at equal steps of 1, 2, 2.5 or 5 by a power of ten.

    Args:
        low: the lower end.
        high: the upper one; where it is no higher, the lower one alone is given.
        most: how many steps at most.
    """
    if not high > low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(power * one for one in _STEPS if (high - low) / (power * one) <= most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(place * step, 12) + 0.0 for place in range(first, last + 1)]


def around(values: list[float], room: float = 0.05) -> tuple[float, float]:
    """The ends of a line that holds values, with some room; of equal values one to each side."""
    low, high = min(values), max(values)
    if high <= low:
        low, high = low - 1, high + 1
    reach = room * (high - low)
    return low - reach, high + reach


def told(value: float) -> str:
    """A number as it stands at an axis or in a table: three digits that count, and no exponent where none is needed."""
    if value == 0:
        return "0"
    if not 1e-3 <= abs(value) < 1e6:
        return f"{value:.3g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
