"""`softprompt train --method auto`: the method is chosen, within minutes and stored bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from softprompt.cli.common import check_rows, table, tell
from softprompt.cli.known import METHOD, options_of
from softprompt.cli.resuming import Given, How, WantedRows
from softprompt.cli.settings import check_any, split_options
from softprompt.errors import SoftPromptError
from softprompt.files.places import AUTO, RUN

if TYPE_CHECKING:
    from softprompt.compare.choice_record import ChoiceRecord, Tried
    from softprompt.training.options import TrainingOptions
    from softprompt.training.run import Run

_MINUTES, _WIDTH = 10.0, 100
_PLAIN = "head_only"  # a method without options of its own

BudgetMinutes = Annotated[
    float | None, typer.Option("--minutes", min=0, help="with --method auto: for the choice and the run; default: 10")
]
MaxBytes = Annotated[
    int | None, typer.Option(min=1, help="with --method auto: that the prompt may store; default: any number")
]


class Budget(NamedTuple):
    """What a choice of a method may cost."""

    minutes: float
    max_bytes: int | None


def budget_of(method: str | None, minutes: float | None, max_bytes: int | None) -> Budget | None:
    """The budget of a choice; None where no method is to be chosen.

    Raises:
        SoftPromptError: there is a budget, and nothing to be chosen.
    """
    if method == AUTO:
        return Budget(_MINUTES if minutes is None else minutes, max_bytes)
    for name, value in (("--minutes", minutes), ("--max-bytes", max_bytes)):
        if value is not None:
            raise SoftPromptError(f"{name} is of a method that is chosen: give --method auto with it, or leave it out")
    return None


def refuse_auto(method: str | None) -> None:
    """Raise `SoftPromptError` where a verb is asked to choose a method that needs one."""
    if method == AUTO:
        raise SoftPromptError(
            "--method auto: it is softprompt train that chooses a method, and a search is of one: train with "
            "--method auto, and name the method here that it takes"
        )


def chosen_run(given: Given, rows: WantedRows, how: How, budget: Budget) -> tuple[Run, ChoiceRecord]:
    """Have a method chosen and trained; `given` names none.

    Raises:
        SoftPromptError: what was given is one method's own, or there is a fault in it.
    """
    given.check(rows.data, resume=how.resume)
    options = _options(given)
    loaded = given.task_of(None, rows)
    check_rows(loaded, [rows.seed], silent=how.silent)
    from softprompt.compare.auto import check_budget, train_auto

    check_budget(*budget, options)
    frozen = given.loaded(None, how.dtype, how.device)
    made = train_auto(
        frozen,
        loaded,
        options,
        minutes=budget.minutes,
        max_bytes=budget.max_bytes,
        seed=rows.seed,
        output=given.out,
        resume=how.resume,
        progress=not how.silent,
    )
    return made.run, made.choice


def choice_of(out: Path) -> ChoiceRecord:
    """The choice whose run is in a folder."""
    from softprompt.compare.choice_record import read_choice

    return read_choice(out / AUTO)


def without_method(given: Given) -> Given:
    """What was given, with the method left open.

    Raises:
        SoftPromptError: a preset or layers, which are of one method.
    """
    for name, value in (("--preset", given.preset), ("--select", given.select)):
        if value is not None:
            raise SoftPromptError(f"{name} {value}: is one method's own, and --method auto is to choose it: name one")
    return replace(given, method=None)


def run_begun(out: Path) -> bool:
    """Whether the run on all rows has begun in a folder, so that a method is chosen.

    Raises:
        SoftPromptError: a run has, whose method was named.
    """
    if (out / RUN).is_file() and not (out / AUTO).is_dir():
        raise SoftPromptError(f"{out} holds a run whose method was named: leave --method out, or choose another --out")
    return (out / RUN).is_file()


def _options(given: Given) -> TrainingOptions:
    """The options of training, for whatever method."""
    check_any(given.pairs)
    known = options_of(_PLAIN) or {}
    for pair in given.pairs:
        key = pair.partition("=")[0]
        owner, _, name = key.rpartition(".")
        if owner == METHOD or not any(name in names for names in known.values()):
            raise SoftPromptError(f"--set {key}: is one method's own, and --method auto is to choose it: name one")
    return split_options(given.pairs, _PLAIN)[1]


def tell_choice(record: ChoiceRecord, out: Path) -> None:
    """Show what was tried, and why what was taken is."""
    held = f"{record.folds} folds held out in turn" if record.folds > 1 else "a quarter of the rows, held out"
    table(
        f"methods that came into question, {record.metric} of {held}",
        ["method", f"{record.metric} ± error", "folds", "seconds", "bytes", ""],
        [_row(one, taken=place == record.taken) for place, one in enumerate(record.tried)],
        right=(1, 2, 3, 4),
    )
    spent = f"{record.seconds:.0f} of {60 * record.minutes:.0f} seconds"
    for line in (record.why, f"{len(record.left_out)} other methods were left out; the choice took {spent}"):
        for part in wrap(line, _WIDTH):
            tell(part)
    tell(f"the choice: {out / AUTO}")


def _row(one: Tried, *, taken: bool) -> list[str]:
    score = "" if one.score is None else f"{one.score:.3f}" + ("" if one.error is None else f" ± {one.error:.3f}")
    cost = f"{one.seconds:.0f}" if one.scores else ""
    return [one.label, score, str(len(one.scores) or ""), cost, f"{one.stored_bytes:,}", "taken" if taken else one.why]
