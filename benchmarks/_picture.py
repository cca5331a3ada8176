"""The picture of a benchmark of layers: the layers kept, layer by seed, beside what each arm reaches."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape

INK, GREY, BLUE, PALE = "#1f2937", "#6b7280", "#3b6ea5", "#e5e7eb"
CELL, ROW, TOP, LEFT = 20, 26, 78, 60
WIDE = 300  # of the scale of the metric


def picture(found: dict[str, Any]) -> str:
    """An SVG, legible on light and dark pages.

    Args:
        found: `task`, `backbone`, `metric`, `rows`, `layers`, `reference`, `arms` as `summed` gives them, and `learned`
            with `seed` and `kept_layers`.
    """
    start = LEFT + max(4, len(found["learned"])) * (CELL + 14) + 40
    names = start + 130  # where the scale begins
    height = TOP + max(found["layers"] * (CELL + 2), len(found["arms"]) * ROW) + 46
    width = names + WIDE + 108
    title = f"{found['task']} on {found['backbone']}, {found['rows']} test rows"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            'role="img" font-family="Helvetica, Arial, sans-serif">',
            f"<title>{escape(title)}: layers that {escape(found['reference'])} keeps, and the arms compared</title>",
            f'<rect width="{width}" height="{height}" rx="10" fill="#ffffff"/>',
            _text(24, 30, title, size=14),
            *_grid(found),
            *_arms(found, start, names),
            "</svg>\n",
        ]
    )


def _grid(found: dict[str, Any]) -> list[str]:
    parts = [_text(24, 54, f"layers kept by {found['reference']}", colour=GREY)]
    for column, row in enumerate(found["learned"]):
        x = LEFT + column * (CELL + 14)
        parts.append(_text(x + (CELL + 12) / 2, TOP - 6, str(row["seed"]), colour=GREY, anchor="middle", size=11))
        for layer in range(found["layers"]):
            y = TOP + (found["layers"] - 1 - layer) * (CELL + 2)
            fill = BLUE if layer in row["kept_layers"] else PALE
            parts.append(f'<rect x="{x}" y="{y}" width="{CELL + 12}" height="{CELL}" rx="3" fill="{fill}"/>')
    for layer in range(found["layers"]):
        y = TOP + (found["layers"] - 1 - layer) * (CELL + 2) + 14
        parts.append(_text(LEFT - 8, y, str(layer), colour=GREY, anchor="end", size=11))
    return parts


def _arms(found: dict[str, Any], start: int, names: int) -> list[str]:
    values = [run["value"] for arm in found["arms"] for run in arm["runs"]]
    low, high = min(values), max(values)
    span = max(high - low, 0.01)

    def at(value: float) -> float:
        return round(names + (value - low) / span * WIDE, 1)

    head = f"{found['metric']}: dots are seeds, bars their mean; p against {found['reference']}"
    parts = [_text(start, 54, head, colour=GREY)]
    for place, arm in enumerate(found["arms"]):
        y = TOP + place * ROW + 8
        own = arm["arm"] == found["reference"]
        colour = BLUE if own else INK
        parts += [
            _text(start, y + 4, arm["arm"], colour=colour),
            f'<line x1="{names}" y1="{y}" x2="{names + WIDE}" y2="{y}" stroke="{PALE}"/>',
            *(
                f'<circle cx="{at(one["value"])}" cy="{y}" r="4" fill="{colour}" fill-opacity="0.45"/>'
                for one in arm["runs"]
            ),
            f'<rect x="{at(arm["mean"]) - 1.5}" y="{y - 9}" width="3" height="18" fill="{colour}"/>',
            _text(names + WIDE + 12, y + 4, f"{arm['mean']:.3f}{_p(arm)}", colour=colour, size=11),
        ]
    y = TOP + len(found["arms"]) * ROW + 12
    return [
        *parts,
        _text(names, y, f"{low:.2f}", colour=GREY, size=11),
        _text(names + WIDE, y, f"{high:.2f}", colour=GREY, anchor="end", size=11),
    ]


def _p(arm: dict[str, Any]) -> str:
    found = arm["difference"]
    return "" if found is None or found["p"] is None else f"  p {found['p']:.3f}"


def _text(x: float, y: float, text: str, *, colour: str = INK, anchor: str = "start", size: int = 12) -> str:
    return f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'
