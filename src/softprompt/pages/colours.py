"""Colours of pages: two scales that readers tell apart whatever colours they see, each in steps, for light and dark.

A scale from nothing to much is one hue by lightness; one around a middle goes from orange over grey to blue, which
every usual kind of colour blindness leaves apart. Series have the hues of M. Okabe and K. Ito ("Color Universal
Design", 2008), darkened or lightened until they stand out from the page, and shapes beside them.
"""

from __future__ import annotations

from collections.abc import Iterator

STEPS = 20  # a scale has one more colour than steps

Colour = tuple[int, int, int]
# By theme the ends of a scale and what lies between.
_ONE_WAY: dict[str, tuple[Colour, ...]] = {
    "light": ((240, 244, 249), (107, 163, 214), (10, 55, 110)),
    "dark": ((30, 38, 48), (49, 105, 163), (178, 216, 250)),
}
_TWO_WAYS: dict[str, tuple[Colour, ...]] = {
    "light": ((179, 88, 6), (247, 190, 128), (246, 246, 246), (146, 190, 226), (20, 84, 150)),
    "dark": ((250, 170, 90), (140, 80, 30), (38, 44, 52), (40, 95, 150), (130, 195, 250)),
}


def steps(theme: str) -> Iterator[str]:
    """Declarations of a theme's scales: `--h0` to `--h20` one way, `--d0` to `--d20` two ways, with inks (`--ht0` ...).

    Args:
        theme: `light` or `dark`.
    """
    for name, scale in (("h", _ONE_WAY[theme]), ("d", _TWO_WAYS[theme])):
        for step in range(STEPS + 1):
            colour = _mixed(scale, step / STEPS)
            ink = "#10151c" if _light(colour) > 0.19 else "#fff"
            yield f"--{name}{step}:#{colour[0]:02x}{colour[1]:02x}{colour[2]:02x};--{name}t{step}:{ink};"


def step_of(value: float, low: float, high: float) -> int:
    """The step of a value on a scale; what lies beyond an end has that end's."""
    share = 0.5 if high <= low else (value - low) / (high - low)
    return round(min(1.0, max(0.0, share)) * STEPS)


def _mixed(scale: tuple[Colour, ...], share: float) -> Colour:
    place = share * (len(scale) - 1)
    below = min(int(place), len(scale) - 2)
    part = place - below
    first, second = scale[below], scale[below + 1]
    made = [round(one + part * (other - one)) for one, other in zip(first, second, strict=True)]
    return made[0], made[1], made[2]


def _light(colour: Colour) -> float:
    """Relative luminance, as WCAG 2.1 has it."""
    linear = [part / 255 / 12.92 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
