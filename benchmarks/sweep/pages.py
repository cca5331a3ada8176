"""The tables of what the sweep found, in docs/backbones.md (counts) and docs/model_types.md (a line a type)."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from .build import AUTO, ModelType, all_types
from .results import BEFORE, NOW, Found, read
from .verdict import ERROR, HOLDS, REFUSED, UNKNOWN, WRONG, worst

DOCS = Path(__file__).parent.parent.parent / "docs"
KINDS = {
    "causal": "Language models that write on",
    "seq2seq": "Encoder-decoders",
    "masked": "Encoders with a masked language model's head",
    "imagetext": "Models of images and text, with text alone",
    "seqcls": "Classification heads",
    "base": "Bodies without a head",
}
SITES = {"stream": ("prompt_tuning",), "attention": ("p_tuning_v2", "prefix_tuning"), "hidden": ("capt",)}
WORDS = (HOLDS, REFUSED, ERROR, WRONG)
Results = Mapping[ModelType, Found]


def write_pages() -> None:
    """Put the tables into the pages."""
    for page, text in pages().items():
        page.write_text(text, encoding="utf-8")


def pages() -> dict[Path, str]:
    """The pages as they should be, by what the results hold."""
    now, before = read(NOW), read(BEFORE)
    tables = {"counts": counts(now, before), "types": types(now, before), "refusals": refusals(now)}
    found = {}
    for name in ("backbones.md", "model_types.md"):
        text = (DOCS / name).read_text(encoding="utf-8")
        for mark, table in tables.items():
            begin, end = f"<!-- {mark}: python -m benchmarks.sweep -->\n\n", f"\n\n<!-- /{mark} -->"
            text = re.sub(f"(?s)(?<={re.escape(begin)}).*?(?={re.escape(end)})", lambda _, own=table: own, text)
        found[DOCS / name] = text
    return found


def counts(now: Results, before: Results) -> str:
    """How many types of each kind end in which word, each counted by its worst, before and now."""
    rows = []
    for kind, name in [*KINDS.items(), ("", "together")]:
        ends = [
            Counter(one.worst for one in results.values() if kind in ("", one.asked.kind) and one.built)
            for results in (before, now)
        ]
        if not any(ends):
            continue
        columns = [[str(end.total()), *(str(end[word]) for word in WORDS)] for end in ends if end]
        rows.append([name, *(" → ".join(dict.fromkeys(cells)) for cells in zip(*columns, strict=True))])
    return table(["", "tried", *WORDS], rows)


def types(now: Results, before: Results) -> str:
    """A table a kind, a line a type, and behind it those that could not be tried."""
    parts = []
    for kind, name in KINDS.items():
        asked = [one for one in all_types() if one.kind == kind and (one in now or one in before)]
        found = [(now.get(one), before.get(one)) for one in asked]
        rows = [_row(one.name, *pair) for one, pair in zip(asked, found, strict=True) if _tried(*pair)]
        head = ["type", "`stream`", "`attention`", "`hidden`", "`generate`", "before"]
        parts += [f"### {name}", f"`{AUTO[kind][0].__name__}`, {len(rows)} types.", table(head, rows)]
        untried = [f"`{one.name}`" for one, pair in zip(asked, found, strict=True) if not _tried(*pair)]
        if untried:
            parts.append(f"Not tried: {', '.join(untried)}.")
    return "\n\n".join(parts)


def _tried(*found: Found | None) -> bool:
    return any(one is not None and one.built for one in found)


def _row(name: str, now: Found | None, before: Found | None) -> list[str]:
    then = "" if before is None or not before.built else before.worst
    if now is None:
        return [f"`{name}`", "", "", "", "", then]
    written = worst([found.word for found in now.of(*sum(SITES.values(), ()), generate=True).values()])
    sites = [_cell(now, methods) for methods in SITES.values()]
    return [f"`{name}`", *sites, "" if written == UNKNOWN else written, then]


def _cell(one: Found, methods: Sequence[str]) -> str:
    """The worst of a site's checks; where they hold, whether they could be compared with the bare model's means."""
    found = one.of(*methods)
    word = worst([verdict.word for verdict in found.values()])
    compared = [verdict.word == HOLDS for name, verdict in found.items() if name.endswith("reference")]
    return "holds, compared" if word == HOLDS and compared and all(compared) else word


def refusals(now: Results) -> str:
    """What is refused in which words, and of which types; most first."""
    lines: dict[str, list[str]] = defaultdict(list)
    for one in now.values():
        for line in dict.fromkeys(_general(found.note) for found in one.checks.values() if found.word == REFUSED):
            lines[line].append(f"`{one.asked.name}`")
    rows = [[line, ", ".join(names)] for line, names in sorted(lines.items(), key=lambda pair: -len(pair[1]))]
    return table(["line", "types"], rows) if rows else "None."


def _general(line: str) -> str:
    """A line without the family's own name and classes, in characters that a table's cell holds."""
    told = re.sub(r"family '[^']+'", "family '...'", line)
    told = re.sub(r"\b(in|of) [A-Z]\w+", r"\1 ...", told)
    return told.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of a page."""
    first, *others = (f"| {' | '.join(line)} |" for line in (head, *rows))
    return "\n".join([first, "|---" * len(head) + "|", *others])
