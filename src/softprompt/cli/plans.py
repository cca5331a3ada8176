"""A table's plan as it is typed: `--method lora:rank=4,epochs=3 --task sst2=FOLDER --seeds 13,21`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from softprompt.cli.settings import whole_numbers
from softprompt.errors import SoftPromptError, quoted

if TYPE_CHECKING:
    from pydantic import JsonValue

    from softprompt.compare.plan import ComparePlan

WHERE = "the options"


def typed_plan(plan: Path | None, options: Mapping[str, object]) -> tuple[ComparePlan, str]:
    """The plan of a file or of options, and where it stands, for messages.

    Args:
        plan: the file, or None.
        options: by the names of the plan's keys, and `set`; None where one was not given.

    Raises:
        BadParameter: neither is given, or too few options.
        SoftPromptError: both are given, or faults in the plan.
    """
    from softprompt.compare.plan import plan_of, read_plan

    given = {name: value for name, value in options.items() if value is not None}
    if plan is not None:
        if given:
            first = next(iter(given))
            own = _OPTIONS.get(first, f"--{first.replace('_', '-')}")
            raise SoftPromptError(f"{own}: {plan} says what is compared: leave it out, or the file")
        return read_plan(plan), str(plan)
    missing = [_OPTIONS[name] for name in ("backbones", "tasks", "methods") if name not in given]
    if missing:
        raise typer.BadParameter(f"no {', '.join(missing)}: give it, or a plan's YAML file")
    return plan_of(typed_keys(given), WHERE), WHERE


_OPTIONS = {"backbones": "--backbone", "tasks": "--task", "methods": "--method"}


def typed_keys(given: Mapping[str, object]) -> dict[str, object]:
    """A plan's keys of options as they were typed."""
    found: dict[str, object] = {}
    pairs = typed_settings(_texts(given.get("set")), "--set")
    for name, value in given.items():
        if name == "tasks":
            skip = {"skip_bad": True} if given.get("skip_bad") else {}
            found[name] = [{**_task(one), **skip} for one in _texts(value)]
        elif name == "methods":
            found[name] = [_with(typed_method(one), pairs) for one in _texts(value)]
        elif name in ("seeds", "shots"):
            found[name] = whole_numbers(str(value), f"--{name}", "13,21,42" if name == "seeds" else "16,32")
        elif name not in ("set", "skip_bad"):
            found[name] = value
    return found


def typed_method(text: str) -> dict[str, JsonValue]:
    """A method as `--method` takes it, `NAME@PRESET:OPTION=VALUE,OPTION=VALUE`: the entry of a plan.

    Raises:
        SoftPromptError: an option without `=`, or one that is given twice.

    Example:
        >>> from softprompt.cli.plans import typed_method
        >>> typed_method("lora:rank=4,epochs=3")
        {'name': 'lora', 'set': {'rank': '4', 'epochs': '3'}}
    """
    head, colon, rest = text.partition(":")
    name, _, preset = head.partition("@")
    found: dict[str, JsonValue] = {key: value for key, value in (("name", name), ("preset", preset)) if value}
    if colon:
        found["set"] = typed_settings(rest.split(","), f"--method {text}")
    return found


def _task(text: str) -> dict[str, str]:
    """A task as `--task` takes it: `NAME`, `NAME=DATA`, or `=DATA` where the data tell the task."""
    name, _, data = text.partition("=")
    return {key: value for key, value in (("name", name), ("data", data)) if value}


def typed_settings(pairs: Sequence[str], option: str) -> dict[str, JsonValue]:
    """What is set of a method and of training, by name.

    Args:
        pairs: as `name=value`.
        option: that they were given to.

    Raises:
        SoftPromptError: an option without `=`, or one that is given twice.
    """
    found: dict[str, JsonValue] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise SoftPromptError(f"{option}: {quoted(pair)} has no '=': write name=value")
        if name in found:
            raise SoftPromptError(f"{option}: {name} is given twice: leave one of them out")
        found[name] = None if value.lower() in ("none", "null") else value
    return found


def _with(entry: dict[str, JsonValue], pairs: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """An entry with what is set of all methods, where it says nothing itself."""
    own = entry.get("set", {})
    assert isinstance(own, dict)
    return {**entry, "set": {**pairs, **own}} if pairs else entry


def _texts(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list | tuple) else []
