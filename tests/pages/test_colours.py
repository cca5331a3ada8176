"""Scales of colours: each step is told from its neighbours' neighbours, and what stands on it can be read."""

from __future__ import annotations

import re

import pytest

from softprompt.pages.colours import STEPS, step_of, steps


def light(colour: str) -> float:
    """Relative luminance, WCAG 2.1."""
    text = colour if len(colour) == 6 else "".join(2 * one for one in colour)
    parts = [int(text[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_on_every_colour_stand_out(theme: str) -> None:
    found = dict(re.findall(r"--(\w+):#(\w+);", "".join(steps(theme))))
    assert len(found) == 4 * (STEPS + 1)
    for name in "hd":
        for step in range(STEPS + 1):
            low, high = sorted((light(found[f"{name}{step}"]), light(found[f"{name}t{step}"])))
            assert (high + 0.05) / (low + 0.05) >= 4.2, (theme, name, step)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_one_way_goes_by_lightness_alone(theme: str) -> None:
    found = dict(re.findall(r"--(h\d+):#(\w+);", "".join(steps(theme))))
    lights = [light(found[f"h{step}"]) for step in range(STEPS + 1)]
    assert lights == sorted(lights, reverse=theme == "light")


def test_steps_of_values() -> None:
    assert [step_of(value, 0, 1) for value in (-1, 0, 0.5, 1, 2)] == [0, 0, STEPS // 2, STEPS, STEPS]
    assert step_of(3, 3, 3) == STEPS // 2
