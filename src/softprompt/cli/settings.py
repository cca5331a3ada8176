"""Options of a method and of training as they are typed: `--set name=value`, and `--learning-rate` and its like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from softprompt.cli.known import METHOD, TRAINING, all_options, options_of
from softprompt.errors import SoftPromptError, quoted
from softprompt.guards import limits
from softprompt.guards.suggestions import did_you_mean

if TYPE_CHECKING:
    from softprompt.methods.base import Method
    from softprompt.training.options import TrainingOptions

Fields = Mapping[str, set[str]]
Values = Mapping[str, object]
_NONE: Values = {}
_NO_VALUE = "--set {} has no '=': write --set name=value"


def listed_words(text: str) -> list[str]:
    """The words of a list with commas or spaces between."""
    return text.replace(",", " ").split()


def whole_numbers(text: str, option: str, example: str) -> list[int]:
    """The whole numbers of such a list.

    Args:
        text: as it was typed.
        option: that it was given to.
        example: of what it takes.

    Raises:
        SoftPromptError: there are none, or something else.
    """
    try:
        found = [int(word) for word in listed_words(text)]
    except ValueError:
        found = []
    if not found:
        raise SoftPromptError(f"{option} {quoted(text)}: give whole numbers with commas between, as {example}")
    return found


def with_named(pairs: Sequence[str] | None, **named: object) -> list[str]:
    """The pairs of `--set`, and those options of training that a verb has under names of their own, where given.

    Raises:
        SoftPromptError: one is given both ways.
    """
    given = list(pairs or [])
    for name, value in named.items():
        if value is None:
            continue
        refuse_twice(given, name, TRAINING)
        given.append(f"{TRAINING}.{name}={value}")
    return given


def refuse_twice(pairs: Sequence[str], name: str, owner: str) -> None:
    """Raise `SoftPromptError` where `--set` gives an option that has been given by its own name."""
    if any(pair.partition("=")[0] in (name, f"{owner}.{name}") for pair in pairs):
        raise SoftPromptError(f"--{name.replace('_', '-')} and --set {name} both give it: leave one of them out")


def check_names(pairs: Sequence[str], method: str) -> None:
    """Look for faults in names, before torch is imported where the method is the library's own.

    Raises:
        SoftPromptError: no such method or option.
    """
    fields = options_of(method)
    if fields is not None:
        _sorted_out(pairs, method, fields)
        return
    from softprompt.methods.registry import METHODS

    METHODS.get(method)


def check_any(pairs: Sequence[str]) -> None:
    """Look for faults in names before it is known which method they are for.

    Raises:
        SoftPromptError: an option that no method of the library and no training has.
    """
    known = all_options()
    for pair in pairs:
        key, equals, _ = pair.partition("=")
        if not equals:
            raise SoftPromptError(_NO_VALUE.format(quoted(pair)))
        if key.rpartition(".")[2] not in known:
            meant = did_you_mean(key, sorted(known))
            raise SoftPromptError(f"--set {key}: no such option; {meant}softprompt methods --json lists a method's")


def split_options(
    pairs: Sequence[str], method: str, recorded: Values = _NONE, trained: Values = _NONE
) -> tuple[Method, TrainingOptions]:
    """`key=value` pairs to a method and options of training, each checked against its type.

    A name that both have takes a prefix: `method.dropout=0.1` or `training.dropout=true`.

    Args:
        pairs: as they were typed.
        method: its name.
        recorded: options of the method that a run has, where the pairs say nothing.
        trained: likewise of training.

    Raises:
        SoftPromptError: no `=`, an unknown name, an ambiguous name, or a value of the wrong type.
    """
    check_names(pairs, method)
    from softprompt.methods.registry import method as method_of
    from softprompt.training.options import TrainingOptions, training_options

    fields = {METHOD: set(type(method_of(method)).model_fields), TRAINING: set(TrainingOptions.model_fields)}
    chosen = _sorted_out(pairs, method, fields)
    return method_of(method, **{**recorded, **chosen[METHOD]}), training_options({**trained, **chosen[TRAINING]})


def _sorted_out(pairs: Sequence[str], method: str, fields: Fields) -> dict[str, dict[str, str | None]]:
    """The options of each owner."""
    chosen: dict[str, dict[str, str | None]] = {METHOD: {}, TRAINING: {}}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise SoftPromptError(_NO_VALUE.format(quoted(pair)))
        owner, dot, name = key.partition(".")
        if not dot:
            owner, name = _owner(key, fields, method), key
        limits.check_text(text, f"--set {key}")
        if owner not in fields or name not in fields[owner]:
            raise SoftPromptError(_unknown(key, fields, method))
        if name in chosen[owner]:
            raise SoftPromptError(f"--set {key}: is given twice: leave one of them out")
        chosen[owner][name] = None if text.lower() in ("none", "null") else text
    return chosen


def _owner(key: str, fields: Fields, method: str) -> str:
    owners = [owner for owner, names in fields.items() if key in names]
    if len(owners) > 1:
        raise SoftPromptError(
            f"--set {key}: the method and the training both have it; write method.{key}=... or training.{key}=..."
        )
    if not owners:
        raise SoftPromptError(_unknown(key, fields, method))
    return owners[0]


def _unknown(key: str, fields: Fields, method: str) -> str:
    meant = did_you_mean(key.rpartition(".")[2], sorted(set().union(*fields.values())))
    return (
        f"--set {key}: no such option; {meant}{method} has {', '.join(sorted(fields[METHOD])) or 'none'}; "
        f"training has {', '.join(sorted(fields[TRAINING]))}"
    )
