"""One self-contained page that compares finished runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from softprompt.pages.dots import Axis, Dot, dots
from softprompt.pages.parts import Figure, Part, Table
from softprompt.pages.plane import Plane, Series, plane
from softprompt.pages.shell import write_page
from softprompt.training.finished import RunMetrics


@dataclass(frozen=True)
class Sample:
    """A held-out row with what each run answers.

    Attributes:
        text: of the row.
        label: the right answer.
        answers: by method.
    """

    text: str
    label: str
    answers: Mapping[str, str]


def comparison_page(runs: Sequence[RunMetrics], path: str | Path, title: str, samples: Sequence[Sample] = ()) -> Path:
    """Write the page: each run's score with its interval beside chance, the table, validation curves, and answers.

    Args:
        runs: of one task and metric, with test rows.
        path: the HTML file; nothing in it is fetched from elsewhere.
        title: of the page.
        samples: rows with the answers of the runs; without any, each run's worst mistakes stand there.

    Raises:
        SoftPromptError: the place cannot be written.
    """
    first = runs[0]
    subtitle = f"{first.task} on {first.backbone}, {first.test.rows} held-out rows, seed {first.seed}"
    seen = max(run.test.seen_rows or 0 for run in runs)
    if seen:
        subtitle += f"; {seen} of them read like rows to train or to choose on"
    parts: list[Part] = [scored(runs), *curves(runs), _costs(runs)]
    parts += [_samples(samples, [run.method for run in runs])] if samples else _mistakes(runs)
    return write_page(path, title, [subtitle], parts)


def scored(runs: Sequence[RunMetrics]) -> Figure:
    """The main metric of each run with its interval, and what always answering one class reaches."""
    metric = runs[0].metric
    items = [Dot(run.method, _value(run), _interval(run)) for run in sorted(runs, key=_value, reverse=True)]
    majority = [run.breakdown.majority for run in runs if run.breakdown is not None]
    lines = {f"always answering {one.label!r}": float(one.score) for one in majority[:1] if one is not None}
    caption = (
        "The dot is the run's score on the held-out rows, the line its 95 % interval over rows. One seed a run: "
        "whether another seed would give the same order, this picture cannot say."
    )
    return dots(f"{metric} on held-out rows", caption, items, Axis(metric, None, lines))


def curves(runs: Sequence[RunMetrics]) -> list[Figure]:
    """The main metric on the validation rows over the steps; none where no run has a point."""
    metric = runs[0].metric
    series = []
    for run in runs:
        points = [(one.get("step"), one.get(metric)) for one in run.history]  # a search also tells of its gates
        own = tuple(
            (float(x), float(y)) for x, y in points if isinstance(x, int | float) and isinstance(y, int | float)
        )
        series += [Series(run.method, own)] if own else []
    caption = f"The {metric} of the validation rows, by which the state is chosen, at each evaluation of the training."
    return [plane(f"{metric} on validation rows", caption, series, Plane("step", metric))] if series else []


def _costs(runs: Sequence[RunMetrics]) -> Table:
    first = runs[0]
    rows = tuple(
        (
            run.method,
            f"{_value(run):.3f}",
            "{:.3f} to {:.3f}".format(*_interval(run)),
            f"{run.trained_parameters:,}",
            "" if run.tunable is None else run.tunable.told(),
            f"{run.stored_bytes:,}",
            f"{run.train_seconds:.0f}",
        )
        for run in runs
    )
    columns = ("method", first.metric, "95 % interval", "trained scalars", "tunable %", "stored bytes", "seconds")
    foot = ", ".join(f"{name} {number}" for name, number in first.versions.items())
    return Table("Scores and costs", columns, rows, (foot,))


def _samples(samples: Sequence[Sample], methods: Sequence[str]) -> Table:
    rows = tuple((one.text, one.label, *(one.answers.get(name, "") for name in methods)) for one in samples)
    return Table("Some held-out rows and the answers", ("text", "label", *methods), rows)


def _mistakes(runs: Sequence[RunMetrics]) -> list[Part]:
    rows = [
        (run.method, one.label, one.answer, "" if one.probability is None else f"{one.probability:.3f}", one.text)
        for run in runs
        if run.breakdown is not None
        for one in run.breakdown.worst
    ]
    columns = ("method", "label", "answer", "probability", "text")
    return [Table("The wrong answers that each run is surest of", columns, tuple(rows))] if rows else []


def _value(run: RunMetrics) -> float:
    """The main metric on the test rows."""
    found = run.test.value(run.metric)
    assert found is not None  # by the schema
    return found


def _interval(run: RunMetrics) -> tuple[float, float]:
    assert run.test.interval is not None  # by the schema
    return run.test.interval
