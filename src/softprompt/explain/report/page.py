"""`softprompt.report`: the page of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from torch import Tensor

from softprompt.errors import SoftPromptError
from softprompt.explain.report.against import against_section
from softprompt.explain.report.inside import effect_parts, inside_section, words_parts
from softprompt.explain.report.instances import Heard, answered_aloud, instance_figures, is_made_of_rows
from softprompt.explain.report.judged import Judged, judged, outcomes_of
from softprompt.explain.report.run_files import OwnRows, RunFiles, own_rows, read_run_files
from softprompt.explain.report.tested import by_length, calibrated, mistakes, recorded, scores
from softprompt.explain.report.trained import trained_section
from softprompt.explain.report.why import why_section
from softprompt.files.places import REPORT
from softprompt.guards.paths import file_for
from softprompt.inference.predict import answered, predict
from softprompt.pages.parts import Note, Part, Section
from softprompt.pages.shell import write_page
from softprompt.progress import Progress
from softprompt.readouts import Outcome, Readout
from softprompt.storage.prompt import Prompt
from softprompt.tasks import Row, Task
from softprompt.tasks.data.sampling import at_most

_UNMEASURED = "The effect of removing tokens or layers is not measured: the prompt is not loaded."
_VALIDATION = 64  # rows at most on which parts are left out


@dataclass(frozen=True)
class Asked:
    """Rows whose answers are shown one by one.

    Attributes:
        task: theirs.
        rows: labelled ones.
        own: whether they are the run's own test rows, all of them.
        validation: the run's own validation rows.
        why: why there are none, where there are none.
    """

    task: Task | None
    rows: list[Row]
    own: bool
    validation: list[Row]
    why: str = ""


def report(
    run: str | PathLike[str],
    path: str | PathLike[str] | None = None,
    *,
    against: str | PathLike[str] | None = None,
    prompt: Prompt | None = None,
    rows: Sequence[Row] = (),
    max_rows: int = 400,
    effects: bool = False,
    why: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the page of a finished run: what was trained, what it answers, where it is wrong, what its prompt is.

    The page is one file that fetches nothing. What cannot be told says why, in a line in its place: rows that are gone,
    or files that an earlier version did not write.

    Args:
        run: its folder.
        path: the HTML file; by default `report.html` in the folder.
        against: another finished run on the same test rows, which is compared row by row.
        prompt: the run's, loaded; it answers rows again, so that there are probabilities, and is looked into. Without
            it the page has what the folder tells.
        rows: labelled rows to answer; by default the run's test rows, where they still are where they were.
        max_rows: so many of them at most.
        effects: leave out each virtual token or layer in turn, on validation rows.
        why: the number of an answered row, from 1, whose tokens' part in the answer is shown (Captum).
        progress: where the work is shown.

    Raises:
        SoftPromptError: no finished run there, no such row, or the place cannot be written.

    Example:
        >>> sp.report("runs/first").name
        'report.html'
    """
    files = read_run_files(run)
    other = None if against is None else read_run_files(against)
    place = file_for(files.folder / REPORT if path is None else path, "report")
    own, gone = _own_rows(files)
    asked, show = _asked(own, gone, prompt, rows, max_rows), progress or Progress(shown=False)
    answers, lines, vectors = _answers(files, asked, prompt, show)
    if prompt is None and rows:
        lines.append("The rows that were given are not answered: the prompt is not loaded.")
    tested = Section("What it answers", tuple(lines), tuple(_tested(files, asked, answers)))
    made = instance_figures(vectors, [one.label for one in answers])
    more: list[Part] = [Note(_UNMEASURED)] if effects else []
    if prompt is not None:
        more = _computed(prompt, asked, made, show, effects=effects)
    beside = [] if other is None else [against_section(files, other, own)]
    reasons = [] if why is None else [_reasons(prompt, asked, answers, why)]
    sections = [trained_section(files), tested, *beside, *reasons, inside_section(files, more)]
    found = files.metrics
    head = f"{found.method} on {found.backbone}, seed {found.seed}, trained for {found.task}: {files.folder}"
    return write_page(place, f"{found.task}: {found.method}", [head], sections=sections)


def _own_rows(files: RunFiles) -> tuple[OwnRows | None, str]:
    """The run's own rows; or None, and why they cannot be shown."""
    try:
        found = own_rows(files)
    except SoftPromptError as error:
        return None, str(error)
    if not found.same:
        return None, "the rows where they were are others now than those that were tested"
    return found, ""


def _asked(own: OwnRows | None, why: str, prompt: Prompt | None, rows: Sequence[Row], most: int) -> Asked:
    """The rows that are answered: those that are given, or the run's own."""
    validation = [] if own is None else own.splits.validation
    task = own.task if own is not None else None if prompt is None else prompt.task
    if rows and prompt is not None and task is not None:
        return Asked(task, at_most(task, list(rows), most), False, validation)
    if own is None or task is None:
        return Asked(task, [], False, validation, why)
    found = at_most(task, own.test, most) if prompt is not None else own.test
    return Asked(task, found, len(found) == len(own.test), validation, "" if found else "there are no test rows")


def _answers(
    files: RunFiles, asked: Asked, prompt: Prompt | None, show: Progress
) -> tuple[list[Judged], list[str], Mapping[int, Tensor]]:
    """The answers to the rows, of the model or as they were recorded, what is to be said of them, and their prompts."""
    if not asked.rows or asked.task is None:
        return [], [f"Rows are not told one by one: {asked.why}"], {}
    known = files.predictions
    before = outcomes_of(known) if asked.own and known is not None and len(known.label) == len(asked.rows) else None
    if prompt is None or prompt.readout is None:
        if before is None:
            return [], ["Rows are not told one by one: no answers were recorded, and the prompt is not loaded."], {}
        told = "The prompt is not loaded, so that the answers are those which were recorded, without probabilities."
        return judged(asked.task, asked.rows, before), [told], {}
    heard = _heard(prompt, prompt.readout, asked.rows, show)
    found = answered(heard.outcomes)
    lines = [f"{len(asked.rows)} rows were answered again for the parts below that tell of probabilities and texts."]
    if before is not None:
        lines.append(f"{_same(before, found)} of {len(found)} answers are those that were recorded.")
    return judged(asked.task, asked.rows, found), lines, heard.vectors


def _heard(prompt: Prompt, readout: Readout, rows: Sequence[Row], show: Progress) -> Heard:
    """The answers, and in the same pass what a prompt that is made of rows makes of them."""
    with show.work("answers", len(rows), "rows") as tick:
        if is_made_of_rows(prompt):
            return answered_aloud(prompt, rows, tick=tick)
        with prompt.attached() as prompted:
            return Heard(predict(prompted, readout, rows, tick=tick), {})


def _same(before: Sequence[Outcome], found: Sequence[Outcome]) -> int:
    return sum(one.scored == other.scored for one, other in zip(before, found, strict=True))


def _tested(files: RunFiles, asked: Asked, answers: Sequence[Judged]) -> list[Part]:
    parts: list[Part | None] = [scores(files), *recorded(files)]
    if answers and asked.task is not None:
        kind = asked.task.kind
        parts += [calibrated(answers), by_length(answers, kind), mistakes(answers, kind)]
    return [one for one in parts if one is not None]


def _reasons(prompt: Prompt | None, asked: Asked, answers: Sequence[Judged], number: int) -> Section:
    """Why one row is answered as it is.

    Raises:
        SoftPromptError: there is no such row, or no prompt is loaded.
    """
    if prompt is None:
        raise SoftPromptError("why: the prompt is not loaded, and its answers cannot be looked into: load it")
    if not answers:
        raise SoftPromptError(f"why {number}: no row is answered ({asked.why}): give labelled rows, or leave why out")
    if not 1 <= number <= len(answers):
        raise SoftPromptError(f"why {number}: rows 1 to {len(answers)} are answered: choose one of them")
    return why_section(prompt, asked.rows[number - 1], number, answers[number - 1].answer)


def _computed(prompt: Prompt, asked: Asked, made: Sequence[Part], show: Progress, *, effects: bool) -> list[Part]:
    """What takes the backbone, and pictures of the rows' own prompts."""
    parts: list[Part] = []
    if effects and prompt.task is not None:
        parts += effect_parts(prompt, at_most(prompt.task, asked.validation, _VALIDATION), show)
    parts += made
    try:
        return [*parts, *words_parts(prompt)]
    except SoftPromptError as error:
        return [*parts, Note(f"Nearest words are not told: {error}")]
