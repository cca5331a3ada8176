"""Options of the command line are declared once, and a verb's signature is one line an option."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator
from typing import Any, get_type_hints

import pytest
import typer

from softprompt.backbones.arithmetic import ProductRates
from softprompt.cli import options
from softprompt.cli.main import app

from ..shared.commands import COMMANDS
from ..shared.imports import PACKAGE

VERBS = {str(verb.callback and verb.callback.__name__): verb.callback for verb in app.registered_commands} | {
    str(verb.callback and verb.callback.__name__): verb.callback
    for group in app.registered_groups
    if group.typer_instance is not None
    for verb in group.typer_instance.registered_commands
}


def declared() -> Iterator[tuple[str, str, Any]]:
    """Verb, parameter and declaration of every option and argument."""
    for name, verb in VERBS.items():
        assert verb is not None
        for parameter, hint in get_type_hints(verb, include_extras=True).items():
            if parameter != "return":
                yield name, parameter, hint


def test_no_option_is_declared_twice() -> None:
    first: dict[tuple[str, str | None], tuple[str, Any]] = {}
    for verb, parameter, hint in declared():
        (about,) = hint.__metadata__
        other, seen = first.setdefault((parameter, about.help), (verb, about))
        assert seen is about, f"{verb} and {other} both declare {parameter}: {about.help}"


def test_what_several_verbs_take_stands_in_options() -> None:
    users: dict[int, set[str]] = {}
    shared = {id(each.__metadata__[0]): name for name, each in vars(options).items() if hasattr(each, "__metadata__")}
    for verb, _, hint in declared():
        users.setdefault(id(hint.__metadata__[0]), set()).add(verb)
    assert {shared.get(key) for key, verbs in users.items() if len(verbs) > 1} <= set(shared.values())
    assert {name for key, name in shared.items() if len(users.get(key, ())) < 2} == set()


@pytest.mark.parametrize("name", VERBS)
def test_a_signature_is_one_line_an_option(name: str) -> None:
    source = inspect.getsource(VERBS[name])  # type: ignore[arg-type]
    (verb,) = ast.parse(source).body
    assert isinstance(verb, ast.FunctionDef)
    lines = [argument.lineno for argument in verb.args.args]
    assert all(argument.lineno == argument.end_lineno for argument in verb.args.args)
    assert len(set(lines)) == len(lines)


def test_each_option_says_what_it_is() -> None:
    for verb, parameter, hint in declared():
        (about,) = hint.__metadata__
        assert isinstance(about, (typer.models.OptionInfo, typer.models.ArgumentInfo))
        assert about.help, f"{verb} does not say what {parameter} is"


def test_backbone_names_every_kind_of_name() -> None:
    (about,) = options.BackboneName.__metadata__  # type: ignore[attr-defined]
    for kind in ("hub", "folder", "GGUF", "embedded:", "adapter:"):
        assert kind in about.help


LOADS = {"load_backbone", "open_prompt", "adapt", "_runs"}


@pytest.mark.parametrize("verb", list(COMMANDS))
def test_every_verb_that_loads_a_backbone_takes_both(verb: str) -> None:
    named = {option.name for option in COMMANDS[verb].params}
    called = set(inspect.unwrap(COMMANDS[verb].callback).__code__.co_names)
    loads = "backbone" in named or bool(called & LOADS)
    assert loads == ({"dtype", "device"} <= named)
    without = ("tasks", "task new", "presets", "results", "doctor", "studio", "explain similarity", "explain layers")
    assert loads == (verb not in without)


def test_type_and_device_are_declared_once() -> None:
    declared = [
        path.name
        for path in sorted(PACKAGE.rglob("*.py"))
        if any(f"{name}: Annotated[" in path.read_text(encoding="utf-8") for name in ("dtype", "device"))
    ]
    assert declared == []


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--dtype", "zork"], "dtype 'zork' cannot be used: choose one of auto, float32, bfloat16, float16"),
        (["--device", "zork"], "device zork cannot be used"),
        (["--device", "cuda:7"], "device cuda:7 cannot be used"),
        (["--device", "meta"], "device meta cannot be used"),
        (["--device", ""], "cannot be used"),
    ],
)
def test_a_type_or_device_that_cannot_be_used_is_one_line(given: Any, told: str, ask: Any, trained: Any) -> None:
    for verb in (["predict", trained, "w20"], ["methods", "--backbone", trained]):
        code, printed, err = ask(*verb, *given)
        assert (code, printed) == (1, "")
        assert err.startswith("error: ")
        assert told in err
        assert len(err.splitlines()) == 1


def test_the_type_is_told_on_standard_error(
    ask: Any,
    trained: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates = ProductRates(float32=95, bfloat16=2.5, float16=5)
    monkeypatch.setattr("softprompt.backbones.arithmetic.measured_rates", lambda device: rates)
    code, printed, err = ask("predict", trained, "w20 w41", "--json", "--dtype", "bfloat16", "--device", "cpu")
    assert code == 0
    assert err == "bfloat16, as asked: this processor multiplies no bfloat16 (38x slower than float32 when tried)\n"
    assert json.loads(printed)[0]["label"] in ("0", "1")
    assert ask("predict", trained, "w20 w41")[2] == ""
