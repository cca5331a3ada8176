"""What a method is called in a table: its name, and behind it the options in which its runs differ.

Runs of one method with other options are other ways of training, and never averaged. Only differences on one task and
backbone count: options that change from task to task alone, as a table of tuned rates has them, are one method's. Where
presets differ their names stand for their options, and options are told where runs of one preset differ in them.

A length that nobody asked for follows the rows, which may be longer with one seed than with another: it is an option of
the method only where runs of the same column asked for another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from softprompt.compare.gathering import FinishedRun
from softprompt.files.strict_json import dumps
from softprompt.guards.documents import json_value
from softprompt.methods.registry import methods
from softprompt.training.options import TrainingOptions

# They change the speed alone, or stand in the readout as what they come to.
_NO_MATTER = frozenset({"threads", "eval_batch_size", "gradient_checkpointing", "answer_end"})
_PRESET, _LENGTH = "preset", "max_length"
_END = "answer_end"  # "no" where an earlier version wrote none


def names_of(columns: Iterable[Sequence[FinishedRun]]) -> dict[Path, str]:
    """The name of each run's method by the run's folder.

    Args:
        columns: the runs of each task and backbone.
    """
    together = [[(run, _settings(run)) for run in runs] for runs in columns]
    differing: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for column in together:
        for group in {_group(own) for _, own in column}:
            differing[group] |= _differing([one for one in column if _group(one[1]) == group])
        for method in {own["method"] for _, own in column}:
            presets = {own.get(_PRESET) for _, own in column if own["method"] == method}
            differing[(method,)] |= {_PRESET} if len(presets) > 1 else set()
    return {
        run.folder: _named(own, sorted(differing[own["method"],]) + sorted(differing[_group(own)]))
        for column in together
        for run, own in column
    }


def _group(settings: Mapping[str, str]) -> tuple[str, ...]:
    """Runs whose options are compared with one another: a preset explains those that others have otherwise."""
    return settings["method"], settings.get(_PRESET, "")


def _differing(runs: Sequence[tuple[FinishedRun, Mapping[str, str]]]) -> set[str]:
    """The options in which some runs are not all alike; lengths are where all came to the same."""
    names = {name for _, own in runs for name in own}
    if len({run.part("readout").get(_LENGTH) for run, _ in runs}) == 1:
        names.discard(_LENGTH)
    return {name for name in names if len({own.get(name) for _, own in runs}) > 1}


def _named(settings: Mapping[str, str], differing: Sequence[str]) -> str:
    """The method with what its run has otherwise than its defaults, of what differs."""
    method = _text(settings["method"])
    usual = _defaults(method)
    own = [name for name in differing if settings.get(name, "null") != usual.get(name, "null")]
    told = [f"{name}={_text(settings[name])}" for name in own]
    return f"{method} ({', '.join(told)})" if told else method


def _text(value: str) -> str:
    found = json_value(value)
    return found if isinstance(found, str) else value


def _settings(run: FinishedRun) -> dict[str, str]:
    """The options of a run by name, as JSON; what is as it ever was stands there whether it was written or not."""
    method = run.record.method
    own: dict[str, object] = {"method": method}
    own |= run.part("method_options")
    training = {name: value for name, value in run.part("training_options").items() if name not in _NO_MATTER}
    own |= {_unlike(name, own): value for name, value in training.items()}
    own[_END] = run.part("readout").get(_END, "no")
    if run.record.preset is not None:
        own[_PRESET] = run.record.preset.name
    if "together_with" in run.identity:
        own["together_with"] = run.identity["together_with"]
    return {**_defaults(method), **{name: dumps(value, indent=None, sorted_names=True) for name, value in own.items()}}


def _defaults(method: str) -> dict[str, str]:
    """The default of every option, as JSON; of a method of a package that is not installed those of training alone."""
    known = methods().get(method)
    own: dict[str, object] = {} if known is None else known.model_construct().model_dump(mode="json", warnings=False)
    training = TrainingOptions().model_dump(mode="json")
    own |= {_unlike(name, own): value for name, value in training.items() if name not in _NO_MATTER}
    return {name: dumps(value, indent=None, sorted_names=True) for name, value in own.items()}


def _unlike(name: str, others: Mapping[str, object]) -> str:
    """A name of training that no option of the method has."""
    return f"training.{name}" if name in others else name
