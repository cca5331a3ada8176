"""The help of every verb as a newcomer reads it: narrow, with an example that the program takes, options in groups."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest

from softprompt.cli.helping import GROUPS, Verb

from ..shared.commands import COMMANDS, narrow

VERBS = sorted(name for name, command in COMMANDS.items() if isinstance(command, Verb))


def helped(ask: Any, *words: str) -> str:
    code, out, err = ask(*words, "--help")
    assert (code, err) == (0, "")
    return str(out)


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_says_what_it_does_and_how_it_is_typed(verb: str, ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    told = helped(ask, *verb.split())
    lines = told.splitlines()
    assert narrow("\n".join(line for line in lines if not line.startswith("  softprompt ")))
    assert lines[2].strip()
    assert re.search(r"\w.*\.", " ".join(lines[2:5]))
    example = lines[lines.index("Example:") + 1]
    words = shlex.split(example)
    assert words[: 1 + len(verb.split())] == ["softprompt", *verb.split()]
    known = {name for option in COMMANDS[verb].params for name in (*option.opts, *option.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_stands_in_a_group_and_says_what_it_takes(verb: str, ask: Any) -> None:
    told = helped(ask, *verb.split())
    assert set(re.findall(r"^([A-Z]\w+):$", told, re.MULTILINE)) <= {"Example", "Arguments", *GROUPS}
    assert not re.search(r"<[a-z[\] ]+>", told)
    for option in COMMANDS[verb].params:
        for name in option.opts:
            assert name in told or option.param_type_name == "argument"
    assert told.split("Other:\n")[1].split() == ["-h,", "--help", "Show", "this", "message", "and", "exit."]


def test_rows_a_step_belong_to_the_training_and_rows_a_pass_to_the_machine(ask: Any) -> None:
    assert "--batch-size" in helped(ask, "train").split("Training:")[1].split("Machine:")[0]
    assert "--batch-size" in helped(ask, "evaluate").split("Machine:")[1].split("Output:")[0]


def test_the_list_of_verbs_cuts_no_sentence(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    told = helped(ask)
    assert narrow(told)
    verbs = told.split("Verbs:\n")[1]
    assert "..." not in verbs
    assert {verb.split()[0] for verb in VERBS} <= {line.split()[0] for line in verbs.splitlines() if line[2:3].strip()}
