"""The marks of a picture as SVG: a class gives each its colour, so that light and dark pages draw it in their own."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

from softprompt.errors import shown

Point = tuple[float, float]
SERIES = 6  # colours (`s0` to `s5`), broken lines and shapes that tell series apart
LETTER = 7.2  # the width of one, at the size in which pictures write
# Corners around the middle of a mark, by series: a circle has none.
_CORNERS: tuple[tuple[Point, ...], ...] = (
    (),
    ((-4, -4), (4, -4), (4, 4), (-4, 4)),
    ((0, -5), (5, 4), (-5, 4)),
    ((0, -5.5), (5.5, 0), (0, 5.5), (-5.5, 0)),
    ((0, 5), (5, -4), (-5, -4)),
    ((-5, -2), (-2, -5), (5, 2), (2, 5)),
)


def line(kind: str, start: Point, end: Point) -> str:
    """A straight line."""
    return f'<line class="{kind}" x1="{start[0]:g}" y1="{start[1]:g}" x2="{end[0]:g}" y2="{end[1]:g}"/>'


def course(kind: str, points: Sequence[Point]) -> str:
    """A line through points."""
    path = " ".join(f"{x:g},{y:g}" for x, y in points)
    return f'<polyline class="{kind}" points="{path}"/>'


def text(x: float, y: float, words: str, anchor: str = "middle", kind: str = "", turned: float = 0) -> str:
    """Words; `anchor` is `start`, `middle` or `end` of them, and `turned` degrees around it."""
    own = f' class="{kind}"' if kind else ""
    turn = f' transform="rotate({turned:g} {x:g} {y:g})"' if turned else ""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{own}{turn}>{escape(shown(words))}</text>'


def box(kind: str, corner: Point, wide: float, high: float, told: str = "") -> str:
    """A rectangle; what it tells is shown where a pointer rests on it."""
    place = f'x="{corner[0]:g}" y="{corner[1]:g}" width="{max(wide, 0):g}" height="{max(high, 0):g}"'
    return _telling(f'<rect class="{kind}" {place}', "rect", told)


def dot(kind: str, middle: Point, radius: float = 4, told: str = "") -> str:
    """A circle; see `box`."""
    return _telling(f'<circle class="{kind}" cx="{middle[0]:g}" cy="{middle[1]:g}" r="{radius:g}"', "circle", told)


def shape(place: int, middle: Point, told: str = "", kind: str = "") -> str:
    """The mark of a series: its colour, and a form of its own for those who cannot tell the colours; see `box`."""
    corners, own = _CORNERS[place % SERIES], f"mark f{place % SERIES} {kind}".strip()
    if not corners:
        return dot(own, middle, 4, told)
    path = " ".join(f"{middle[0] + x:g},{middle[1] + y:g}" for x, y in corners)
    return _telling(f'<polygon class="{own}" points="{path}"', "polygon", told)


def picture(kind: str, wide: float, high: float, told: str, parts: Sequence[str]) -> Markup:
    """A whole picture.

    Args:
        kind: its class.
        wide: its width.
        high: its height.
        told: what it shows, for who cannot see it.
        parts: its marks, the lowest first.
    """
    head = f'<svg class="{kind}" viewBox="0 0 {wide:g} {high:g}" width="{wide:g}" height="{high:g}" role="img"'
    inside = "".join(parts)
    label = escape(shown(told))
    return Markup(f'{head} aria-label="{label}">{inside}</svg>')  # noqa: S704  (texts in it are escaped)


def cut(words: str, wide: float) -> str:
    """Words that fit a width: of longer ones the beginning."""
    most = max(3, int(wide / LETTER))
    return words if len(words) <= most else f"{words[: most - 1]}…"


def _telling(begun: str, tag: str, told: str) -> str:
    return f"{begun}><title>{escape(shown(told))}</title></{tag}>" if told else f"{begun}/>"
