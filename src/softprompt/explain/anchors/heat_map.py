"""Heat maps as static SVG, side by side on one colour scale, legible on light and dark ground and without colours.

The colours are cividis, made for readers with and without a colour vision deficiency alike (Nuñez, Anderton, Renslow,
PLOS ONE 2018, <https://doi.org/10.1371/journal.pone.0199239>): lighter is more, also in grey. What is hidden
is hatched.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from softprompt.errors import shown

# Cividis at even steps.
_COLOURS = ((0, 34, 78), (53, 69, 108), (102, 105, 112), (148, 142, 119), (200, 184, 102), (254, 232, 56))
_LABEL, _HEAD, _GAP, _FOOT, _LETTER = 11, 46, 28, 58, 6.4
_STYLE = """<style>
.paper{fill:#ffffff}.ink{fill:#1f2937}.soft{fill:#5b6472}.line{stroke:#5b6472}
@media (prefers-color-scheme: dark){.paper{fill:#111827}.ink{fill:#e5e7eb}.soft{fill:#a3adbb}.line{stroke:#a3adbb}}
text{font-family:Helvetica,Arial,sans-serif}
</style>"""
_HATCH = (
    '<pattern id="hidden" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<line x1="0" y1="0" x2="0" y2="4" class="line" stroke-width="1" stroke-opacity="0.5"/></pattern>'
)


@dataclass(frozen=True)
class Panel:
    """One map.

    Attributes:
        title: above it.
        rows: the names on the left.
        columns: the names above.
        values: `(rows, columns)`, NaN for what is hidden.
    """

    title: str
    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[float]]


def heat_maps(panels: Sequence[Panel], *, legend: str, told: str, from_zero: bool = False, cell: int = 14) -> str:
    """An SVG of some maps side by side, on one scale that ends at the largest value of all of them.

    Args:
        panels: the maps.
        legend: what the colours stand for.
        told: the picture in words, for those who do not see it.
        from_zero: whether the scale begins at zero, and not at the least value.
        cell: the side of a cell.
    """
    flat = [one for panel in panels for row in panel.values for one in row if not math.isnan(one)]
    low, high = (0.0 if from_zero else min(flat), max(flat)) if flat else (0.0, 0.0)
    parts, x, height = [], 16.0, 0.0
    for panel in panels:
        drawn, width, tall = _panel(panel, x, cell, (low, high))
        parts += drawn
        x, height = x + width + _GAP, max(height, tall)
    width = max(x - _GAP + 16, 360)
    height += _FOOT
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
            f'height="{height:.0f}" role="img">',
            f"<title>{_text(told)}</title>",
            f"{_STYLE}<defs>{_HATCH}</defs>",
            f'<rect class="paper" width="{width:.0f}" height="{height:.0f}" rx="8"/>',
            *parts,
            *_scale(16, height - 40, (low, high), legend),
            "</svg>\n",
        ]
    )


def colour(share: float) -> str:
    """The colour of a share of the scale, 0 to 1.

    Example:
        >>> from softprompt.explain.anchors.heat_map import colour
        >>> colour(0), colour(1)
        ('#00224e', '#fee838')
    """
    place = min(max(share, 0.0), 1.0) * (len(_COLOURS) - 1)
    left = min(int(place), len(_COLOURS) - 2)
    mixed = (a + (b - a) * (place - left) for a, b in zip(_COLOURS[left], _COLOURS[left + 1], strict=True))
    return "#" + "".join(f"{round(one):02x}" for one in mixed)


def _panel(panel: Panel, x: float, cell: int, span: tuple[float, float]) -> tuple[list[str], float, float]:
    """A map at a place: its marks, its width and where it ends."""
    left = x + _LETTER * max(map(len, panel.rows)) + 8
    top = _HEAD + _LETTER * max(map(len, panel.columns)) * 0.87 + 8
    parts = [f'<text class="ink" x="{x:.0f}" y="24" font-size="13">{_text(panel.title)}</text>']
    for place, name in enumerate(panel.columns):
        at = left + (place + 0.5) * cell + 3
        parts.append(
            f'<text class="ink" font-size="{_LABEL}" transform="translate({at:.1f} {top - 5:.1f}) rotate(-60)">'
            f"{_text(name)}</text>"
        )
    for place, (name, values) in enumerate(zip(panel.rows, panel.values, strict=True)):
        y = top + place * cell
        parts.append(
            f'<text class="ink" x="{left - 5:.1f}" y="{y + cell * 0.75:.1f}" font-size="{_LABEL}" text-anchor="end">'
            f"{_text(name)}</text>"
        )
        parts += [_cell(left + column * cell, y, cell, one, span) for column, one in enumerate(values)]
    lean = _LETTER * max(map(len, panel.columns)) * 0.5
    width = max(left - x + len(panel.columns) * cell + lean, _LETTER * 1.1 * len(panel.title))
    return parts, width, top + len(panel.rows) * cell


def _cell(x: float, y: float, cell: int, value: float, span: tuple[float, float]) -> str:
    low, high = span
    fill = "url(#hidden)" if math.isnan(value) else colour((value - low) / (high - low) if high > low else 0.0)
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{cell - 0.5}" height="{cell - 0.5}" fill="{fill}"/>'


def _scale(x: float, y: float, span: tuple[float, float], legend: str) -> list[str]:
    steps, wide = 24, 8
    parts = [
        f'<rect x="{x + step * wide:.0f}" y="{y:.0f}" width="{wide + 0.5}" height="10" '
        f'fill="{colour(step / (steps - 1))}"/>'
        for step in range(steps)
    ]
    end = x + steps * wide
    return [
        *parts,
        f'<text class="soft" x="{x:.0f}" y="{y + 24:.0f}" font-size="11">{span[0]:.3g}</text>',
        f'<text class="soft" x="{end:.0f}" y="{y + 24:.0f}" font-size="11" text-anchor="end">{span[1]:.3g}</text>',
        f'<text class="soft" x="{end + 12:.0f}" y="{y + 10:.0f}" font-size="11">{_text(legend)}</text>',
    ]


def _text(text: str) -> str:
    return escape(shown(text))
