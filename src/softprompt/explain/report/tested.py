"""What a run's prompt answers: its score, which classes it takes for one another, and where it is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from softprompt.evaluation.predictions import Predictions
from softprompt.explain.report.calibration import calibration
from softprompt.explain.report.judged import Judged, wilson
from softprompt.explain.report.run_files import RunFiles
from softprompt.pages.dots import Axis, Dot, dots
from softprompt.pages.heat import Cells, Colours, heat
from softprompt.pages.parts import Facts, Figure, Part, Table
from softprompt.pages.plane import Plane, Series, plane

MOST_CLASSES, MOST_MISTAKES, PARTS = 24, 200, 4
_PAIRS = 15


def scores(files: RunFiles) -> Facts:
    """The metrics of the test rows."""
    test, metric = files.metrics.test, files.metrics.metric
    if not test.figures():
        return Facts((("test rows", "none were scored"),))
    value = test.value(metric)
    ends = "" if test.interval is None else " [{:.3f}, {:.3f}]".format(*test.interval)
    pairs = [(metric, f"{value:.3f}{ends} on {test.rows or 0:,} held-out rows (95 % interval over rows)")]
    named = {"rows", "interval", "loss", "seen_rows", "majority", metric}
    pairs += [(name, f"{one:.3f}") for name, one in test.figures().items() if name not in named and _number(one)]
    pairs += [("loss", f"{test.loss:.3f}")] if test.loss is not None else []
    behind = files.metrics.breakdown
    if behind is not None and behind.majority is not None and behind.split == "test":
        pairs.append(("always the most frequent class", f"{behind.majority.score:.3f} ({behind.majority.label})"))
    if test.seen_rows:
        pairs.append(("seen", f"{test.seen_rows} of the rows read like rows to train or to choose on"))
    return Facts(tuple(pairs))


def _number(value: object) -> bool:
    return isinstance(value, int | float)


def recorded(files: RunFiles) -> Iterator[Part]:
    """What the recorded answers show by themselves."""
    found = files.predictions
    behind = files.metrics.breakdown
    if found is not None and found.kind in ("classification", "tags"):
        names, pairs = _pairs(found)
        yield from confusion(names, pairs, "words" if found.kind == "tags" else "test rows")
        if found.kind == "classification":
            yield by_label(names, pairs)
    elif found is None and behind is not None and behind.confusion is not None:
        names = [one.label for one in behind.classes]
        counts = {(a, b): n for a, row in enumerate(behind.confusion) for b, n in enumerate(row) if n}
        yield from confusion(names, Counter(counts), f"{behind.split} rows")
        yield by_label(names, Counter(counts))
    elif found is not None and found.kind == "regression":
        yield against_right(found)


def _pairs(found: Predictions) -> tuple[list[str], Counter[tuple[int, int]]]:
    """The names of the classes (or tags), and how often each is given for each."""
    if found.kind == "tags":
        rows = zip(found.label, found.prediction, strict=True)
        tagged = ((a, b) for a, b in rows if isinstance(a, tuple) and isinstance(b, tuple))
        words = (pair for a, b in tagged for pair in zip(a, b, strict=False))
        return list(found.labels.values()), Counter((a, b) for a, b in words if a >= 0 and b >= 0)
    pairs = zip(found.label, found.prediction, strict=True)
    counts = Counter((a, b) for a, b in pairs if isinstance(a, int) and isinstance(b, int))
    return label_names(found.labels), counts


def label_names(labels: Mapping[str, str]) -> list[str]:
    """What labels are called: their values, with their words where these say more."""
    return [value if word in (value, "") else f"{value} ({word})" for value, word in labels.items()]


def confusion(names: Sequence[str], pairs: Mapping[tuple[int, int], int], what: str) -> Iterator[Part]:
    """Rows by label and answer; of many classes the pairs that are taken for one another most often."""
    total = {a: sum(count for (own, _), count in pairs.items() if own == a) for a in range(len(names))}
    if len(names) <= MOST_CLASSES:
        counts = [[pairs.get((a, b), 0) for b in range(len(names))] for a in range(len(names))]
        shares = [[count / max(1, total[a]) for count in row] for a, row in enumerate(counts)]
        texts = [[str(count) for count in row] for row in counts]
        caption = (
            f"How many {what} of each label (down) got each answer (across); the colour is the share of the label's "
            "own, so that each line adds up to one."
        )
        cells = Cells(shares, names, names, texts, across="answer", down="label")
        yield heat("Labels and answers", caption, cells, Colours("share of the label", 0, 1))
    wrong = sorted(((count, a, b) for (a, b), count in pairs.items() if a != b), reverse=True)[:_PAIRS]
    if wrong and len(names) > 2:
        rows = tuple((names[a], names[b], str(count), f"{count / total[a]:.1%}") for count, a, b in wrong)
        yield Table(f"Taken for one another most often, of {what}", ("label", "answer", "rows", "of the label"), rows)


def by_label(names: Sequence[str], pairs: Mapping[tuple[int, int], int]) -> Figure:
    """The share of right answers of each label."""
    rows = {a: sum(count for (own, _), count in pairs.items() if own == a) for a in range(len(names))}
    right = {a: pairs.get((a, a), 0) for a in rows}
    items = [
        Dot(names[a], right[a] / rows[a] if rows[a] else None, wilson(right[a], rows[a]), note=f"{rows[a]} rows")
        for a in rows
    ]
    whole = sum(right.values()) / max(1, sum(rows.values()))
    caption = (
        "The share of each label's test rows that is answered rightly (its recall), with Wilson's 95 % interval; the "
        "broken line is the share of all rows."
    )
    return dots("Right answers by label", caption, items, Axis("share right", (0, 1), {"all rows": whole}))


def against_right(found: Predictions) -> Figure:
    """Predicted numbers against the right ones."""
    pairs = zip(found.label, found.prediction, strict=True)
    points = tuple((float(a), float(b)) for a, b in pairs if isinstance(a, int | float) and isinstance(b, int | float))
    low, high = min(map(min, points)), max(map(max, points))
    room = 0.05 * (high - low or 1)
    ends = (low - room, high + room)
    axes = Plane("right number", "answer", ends, ends, (((low, low), (high, high), "where both are equal"),))
    caption = "Each point is a test row: the right number across, the answer up. On the broken line both are equal."
    return plane("Answers and right numbers", caption, [Series("test rows", points, joined=False)], axes)


def by_length(rows: Sequence[Judged], kind: str) -> Figure | None:
    """The score by length of text, in parts of about as many rows each; None of too few rows."""
    ordered = sorted(rows, key=lambda one: one.words)
    if len(ordered) < 2 * PARTS or ordered[0].words == ordered[-1].words:
        return None
    ends = [ordered[len(ordered) * part // PARTS].words for part in range(1, PARTS)]
    groups: dict[tuple[int, int], list[Judged]] = {}
    bounds = [0, *sorted(set(ends)), ordered[-1].words + 1]
    for low, high in pairwise(bounds):
        own = [one for one in ordered if low <= one.words < high]
        if own:
            groups[own[0].words, own[-1].words] = own
    share = all(one.score in (0.0, 1.0) for one in rows) and kind != "regression"
    items = []
    for (low, high), own in groups.items():
        total = sum(one.score for one in own)
        interval = wilson(total, len(own)) if share else None
        name = f"{low} words" if low == high else f"{low} to {high} words"
        items.append(Dot(name, total / len(own), interval, note=f"{len(own)} rows"))
    what = "share right" if share else "mean distance to the right number" if kind == "regression" else "mean score"
    whole = sum(one.score for one in rows) / len(rows)
    caption = (
        f"The {what} of rows by how many words their texts have, in quarters of the rows"
        f"{', with 95 % intervals (Wilson)' if share else ''}; the broken line is that of all rows."
    )
    axis = Axis(what, (0, 1) if kind != "regression" else None, {"all rows": whole})
    return dots("By length of text", caption, items, axis)


def calibrated(rows: Sequence[Judged]) -> Figure | None:
    """The calibration curve; None where answers have no probabilities."""
    own = [one for one in rows if one.probability is not None]
    if not own:
        return None
    found = calibration([one.probability or 0.0 for one in own], [one.score == 1 for one in own])
    points = tuple((one.confidence, one.accuracy) for one in found.bins)
    labels = tuple(f"{one.rows} rows, probability {one.confidence:.3f}, right {one.accuracy:.3f}" for one in found.bins)
    axes = Plane("probability of the answer", "share right", (0, 1), (0, 1), (((0, 0), (1, 1), "calibrated"),))
    caption = (
        f"Rows in ten bins by the probability of their answer: the mean probability across, the share of right answers "
        f"up. Below the broken line the prompt is surer than it is right. The expected calibration error, the mean "
        f"distance from the line weighted by rows (Guo et al. 2017), is {found.error:.3f} on {len(own)} rows."
    )
    return plane(f"Calibration, error {found.error:.3f}", caption, [Series("test rows", points, labels=labels)], axes)


def mistakes(rows: Sequence[Judged], kind: str) -> Table | None:
    """The rows that are wrong, the surest first, or the farthest off; None where all are right."""
    if kind == "regression":
        wrong = sorted((one for one in rows if one.score > 0), key=lambda one: -one.score)
    else:
        wrong = sorted((one for one in rows if one.score < 1), key=lambda one: (-(one.probability or 0), one.score))
    if not wrong:
        return None
    sure = any(one.probability is not None for one in rows)
    scored = kind == "regression" or any(0 < one.score < 1 for one in rows)
    columns = ["row", *(["probability"] if sure else []), *(["off" if kind == "regression" else "score"] * scored)]
    shown = [
        (
            str(one.place),
            *([f"{one.probability:.3f}" if one.probability is not None else ""] if sure else []),
            *([f"{one.score:.3f}"] if scored else []),
            one.label,
            one.answer,
            one.text,
            one.where,
        )
        for one in wrong[:MOST_MISTAKES]
    ]
    order = "the surest first" if sure else "the farthest off first" if kind == "regression" else "in their order"
    title = f"Wrong answers: {len(wrong)} of {len(rows)} rows, {order}"
    more = (f"{MOST_MISTAKES} of {len(wrong)} stand here",) if len(wrong) > MOST_MISTAKES else ()
    return Table(title, (*columns, "label", "answer", "text", "where"), tuple(shown), more, searchable=True)
