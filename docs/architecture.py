"""Keeps `docs/architecture.md` true: draws the picture of the rooms and finds the lines that the page links to.

    python -m docs.architecture          # writes img/rooms.svg and the numbers of the lines
    python -m docs.architecture --check  # says what is out of date, and exits with 1

A box is a room; a line runs from a room to one that it imports, where no longer way leads there. A
link of the page names what it leads to, as in ``[`RowEncoder.encode`](../src/softprompt/tasks/text/encoding.py#L60)``.
"""

from __future__ import annotations

import ast
import re
import sys
from html import escape
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.shared.imports import graph, modules

DOCS = Path(__file__).parent
PAGE, PICTURE = DOCS / "architecture.md", DOCS / "img" / "rooms.svg"
LINK = re.compile(r"\[`(?P<name>[\w.]+)`\]\((?P<path>\.\./src/softprompt/[\w/]+\.py)#L(?P<line>\d+)\)")
_WIDTH, _ROW, _BOX, _TALL = 560, 84, 170, 48


def room_of(module: str) -> str:
    """The room of a module; a file at the root is one of its own."""
    return module.split(".")[0] or "softprompt"


def rooms() -> set[str]:
    """The rooms."""
    return set(map(room_of, modules()))


def arrows() -> dict[str, set[str]]:
    """For each room the others that it imports, whether at once, inside a function or for types alone."""
    found: dict[str, set[str]] = {room: set() for room in sorted(rooms())}
    for start, ends in graph().items():
        found[room_of(start)] |= {room_of(end) for end in ends} - {room_of(start)}
    return found


def levels(arrows: dict[str, set[str]]) -> dict[str, int]:
    """How many rooms stand below each at most, one on the other."""
    found: dict[str, int] = {}

    def level(room: str) -> int:
        if room not in found:
            found[room] = 1 + max((level(other) for other in arrows[room]), default=-1)
        return found[room]

    for room in arrows:
        level(room)
    return found


def shortest(arrows: dict[str, set[str]]) -> set[tuple[str, str]]:
    """The arrows without those that a longer way makes needless (the transitive reduction)."""
    reach: dict[str, set[str]] = {}
    for room in sorted(arrows, key=levels(arrows).__getitem__):
        reach[room] = arrows[room] | {end for other in arrows[room] for end in reach[other]}
    return {
        (room, end) for room, ends in arrows.items() for end in ends if not any(end in reach[x] for x in ends - {end})
    }


def picture() -> str:
    """The rooms as SVG, what users call on top."""
    ends = arrows()
    at = levels(ends)
    top = max(at.values())
    places: dict[str, tuple[float, float]] = {}
    for level in range(top + 1):
        row = sorted(room for room, own in at.items() if own == level)
        for index, room in enumerate(row):
            places[room] = (_WIDTH * (index + 1) / (len(row) + 1), 30 + _ROW * (top - level) + _TALL / 2)
    height = 60 + _ROW * top + _TALL
    lines = [_line(places[start], places[end]) for start, end in sorted(shortest(ends))]
    boxes = [_box(room, places[room]) for room in sorted(places)]
    return "\n".join([_HEAD.format(width=_WIDTH, height=height), *lines, *boxes, "</svg>", ""])


def _line(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x, y), (u, v) = (start[0], start[1] + _TALL / 2), (end[0], end[1] - _TALL / 2 - 5)
    bend = (v - y) / 2
    return f'<path d="M{x:.0f} {y:.0f} C{x:.0f} {y + bend:.0f} {u:.0f} {v - bend:.0f} {u:.0f} {v:.0f}"/>'


def _box(room: str, place: tuple[float, float]) -> str:
    x, y = place
    return (
        f'<rect x="{x - _BOX / 2:.0f}" y="{y - _TALL / 2:.0f}" width="{_BOX}" height="{_TALL}" rx="6"/>'
        f'<text x="{x:.0f}" y="{y + 6:.0f}">{escape(room)}</text>'
    )


_HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="The rooms">
<style>
rect {{ fill: #eef2f8; stroke: #5b6f94; }}
path {{ fill: none; stroke: #8a97ad; stroke-width: 1.4; marker-end: url(#tip); }}
text {{ font-family: sans-serif; text-anchor: middle; fill: #1c2433; font-size: 16px; font-weight: 600; }}
.ground {{ fill: #ffffff; stroke: none; }}
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto">
<polygon points="0,0 8,4 0,8" fill="#8a97ad"/></marker></defs>
<rect class="ground" width="{width}" height="{height}"/>"""


def line_of(path: Path, name: str) -> int | None:
    """The line in which a class, function, method or constant of a file begins; None where there is none."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    found: ast.AST | None = None
    for part in name.split("."):
        found = next((node for node in body if part in _names(node)), None)
        if found is None:
            return None
        body = getattr(found, "body", [])
    return getattr(found, "lineno", None)


def _names(node: ast.AST) -> set[str]:
    if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def page() -> str:
    """The page with the lines as they are.

    Raises:
        SystemExit: a link leads to nothing.
    """

    def found(link: re.Match[str]) -> str:
        path = (DOCS / link["path"]).resolve()
        line = line_of(path, link["name"]) if path.is_file() else None
        if line is None:
            sys.exit(f"{PAGE}: {link['path']} has no {link['name']}: mend the link")
        return f"[`{link['name']}`]({link['path']}#L{line})"

    return LINK.sub(found, PAGE.read_text(encoding="utf-8"))


def main(arguments: list[str]) -> int:
    """Write what has changed, or with `--check` say so."""
    stale = {path: text for path, text in ((PAGE, page()), (PICTURE, picture())) if _differs(path, text)}
    if "--check" in arguments and stale:
        print(f"out of date: {', '.join(path.name for path in stale)}: run make architecture")
        return 1
    for path, text in stale.items():
        path.write_text(text, encoding="utf-8")
    return 0


def _differs(path: Path, text: str) -> bool:
    return not path.is_file() or path.read_text(encoding="utf-8") != text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
