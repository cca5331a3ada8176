r"""Where two runs differ: rows that one answers rightly and the other does not, and whether that is more than chance.

McNemar, "Note on the sampling error of the difference between correlated proportions or percentages", 1947, in its
exact form: of the rows on which the two differ, b rows that the first has right and c that the second has, each is a
toss under the hypothesis that both are equally good on rows of this kind,

    p = P(|X - (b + c) / 2| >= |b - (b + c) / 2|),   X ~ Binomial(b + c, 1 / 2)

It asks about these two prompts and other rows, not about methods and other seeds (`softprompt.compare.significance`).
Where a row's score is no right or wrong, a row counts for the run with the higher score: a sign test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import binomtest

from softprompt.errors import SoftPromptError
from softprompt.explain.report.judged import Judged, judged, outcomes_of
from softprompt.explain.report.run_files import OwnRows, RunFiles
from softprompt.pages.heat import Cells, Colours, heat
from softprompt.pages.parts import Note, Part, Section, Table

MOST = 200


@dataclass(frozen=True)
class Paired:
    """Rows that two runs answered.

    Attributes:
        both: rows that both have right, or are equally good at.
        first: rows that the first alone has right, or is better at.
        second: likewise the second.
        neither: rows that neither has right.
        p: of McNemar's exact test; 1 where they differ nowhere.
    """

    both: int
    first: int
    second: int
    neither: int
    p: float


def mcnemar(first: Sequence[float], second: Sequence[float], *, less: bool = False) -> Paired:
    """Compare two runs row by row.

    Args:
        first: the score of each row.
        second: those of the same rows.
        less: a lower score is the better one, as of distances.
    """
    pairs = [(-a, -b) if less else (a, b) for a, b in zip(first, second, strict=True)]
    better, worse = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
    wrong = sum(a == b and a < (0 if less else 1) for a, b in pairs)
    p = float(binomtest(better, better + worse).pvalue) if better + worse else 1.0
    return Paired(len(pairs) - better - worse - wrong, better, worse, wrong, p)


def against_section(files: RunFiles, other: RunFiles, rows: OwnRows | None) -> Section:
    """Two runs row by row, by their recorded answers.

    Args:
        files: the report's run.
        other: that it is compared with.
        rows: with their texts, where they are there.
    """
    title = f"Beside {other.name}"
    try:
        own, theirs = _answers(files, rows, other), _answers(other, rows, files)
    except SoftPromptError as error:
        return Section(title, (str(error),))
    kind = files.predictions.kind if files.predictions is not None else ""
    found = mcnemar([one.score for one in own], [one.score for one in theirs], less=kind == "regression")
    better = f"{found.first} rows are answered better by {files.name}, {found.second} by {other.name}"
    lines = (
        f"{better}. McNemar's exact test: p = {found.p:.3g}. It asks whether the two prompts would differ on other "
        "rows; of other seeds it says nothing.",
        f"{files.metrics.metric}: {_main(files)} here, {_main(other)} there ({other.folder}).",
        *(f"{one.name}: {one.diverged}" for one in (files, other) if one.diverged),
    )
    parts: list[Part] = [_square(found, files.name, other.name, len(own))]
    differing = [(a, b) for a, b in zip(own, theirs, strict=True) if a.score != b.score]
    if differing:
        parts.append(_differing(differing, files.name, other.name, texts=rows is not None))
    if rows is None:
        parts.append(Note("The texts of the rows are not there, so that rows have their numbers alone."))
    return Section(title, lines, tuple(parts))


def _answers(files: RunFiles, rows: OwnRows | None, other: RunFiles) -> list[Judged]:
    """The recorded answers of a run, which are to the rows of the other.

    Raises:
        SoftPromptError: there are none, or other rows were answered.
    """
    if files.predictions is None:
        raise SoftPromptError(f"{files.folder} has no recorded answers: train again with this version")
    own, theirs = files.rows_hash("test"), other.rows_hash("test")
    if own is None or theirs is None:
        which = files if own is None else other
        raise SoftPromptError(
            f"{which.folder} does not tell which rows it was tested on: train again with this version"
        )
    if files.metrics.task != other.metrics.task or own != theirs:
        raise SoftPromptError(f"{files.folder} and {other.folder} were tested on other rows, so no row can be compared")
    task = rows.task if rows is not None else files.task or other.task
    if task is None:
        raise SoftPromptError(f"{files.folder}: nothing says what its task is")
    texts = rows.test if rows is not None else []
    asked = texts if len(texts) == len(files.predictions.prediction) else files.predictions.rows()
    return judged(task, asked, outcomes_of(files.predictions))


def _main(files: RunFiles) -> str:
    value, ends = files.metrics.test.value(files.metrics.metric), files.metrics.test.interval
    return "none" if value is None or ends is None else f"{value:.3f} [{ends[0]:.3f}, {ends[1]:.3f}]"


def _square(found: Paired, one: str, other: str, rows: int) -> Part:
    counts = [[found.both, found.first], [found.second, found.neither]]
    shares = [[count / rows for count in line] for line in counts]
    texts = [[str(count) for count in line] for line in counts]
    caption = (
        f"Test rows by whether {one} (down) and {other} (across) answer them rightly. The two counts beside the "
        "diagonal, from upper right to lower left, are what the test compares."
    )
    cells = Cells(shares, ("right", "wrong"), ("right", "wrong"), texts, across=other, down=one)
    return heat("Right and wrong in both", caption, cells, Colours("share of the rows", 0, 1))


def _differing(pairs: Sequence[tuple[Judged, Judged]], one: str, other: str, *, texts: bool) -> Table:
    rows = tuple(
        (str(a.place), a.label, a.answer, b.answer, *([a.text, a.where] if texts else [])) for a, b in pairs[:MOST]
    )
    columns = ("row", "label", one, other, *(["text", "where"] if texts else []))
    more = (f"{MOST} of {len(pairs)} stand here",) if len(pairs) > MOST else ()
    return Table(f"Rows on which they differ: {len(pairs)}", columns, rows, more, searchable=True)
