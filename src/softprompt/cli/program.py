"""Typer's apps as programs: what a user typed is shown and never obeyed, and every failure is one line."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from itertools import zip_longest
from pathlib import Path
from typing import Any, NoReturn, get_args, get_type_hints

import typer

from softprompt.cli.known import all_options
from softprompt.cores import heed_limit
from softprompt.errors import SoftPromptError, quoted, shown
from softprompt.guards.paths import reason
from softprompt.guards.suggestions import nearest
from softprompt.ranks import ToldElsewhere, joined, launched, one_process

# What typer raises for a command line that it cannot read; there is no public name for it.
_UsageError: Any = next(kind for kind in typer.BadParameter.mro() if kind.__name__ == "ClickException")


def run(app: typer.Typer) -> NoReturn:
    """Run an app on `sys.argv` and leave the process.

    The exit code is 0, 1 after a fault that the user can mend, 2 for a command line that cannot be read and 130 after
    an interruption. A stream that cannot write a character writes its escape.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    heed_limit()
    sys.exit(_exit_code(app))


def _exit_code(app: typer.Typer) -> int:
    leads = True
    try:
        leads = launched().index == 0
        with _one_voice(leads), joined():
            _check_paths(app, sys.argv[1:])
            _check_verb(sys.argv[1:])
            code = app(standalone_mode=False)
            sys.stdout.flush()
    except ToldElsewhere:
        return 1
    except SoftPromptError as error:
        return _told(f"error: {error}", 1)
    except KeyboardInterrupt:  # while typer itself was at work
        return _told("interrupted", 130) if leads else 130
    except _UsageError as error:
        if not leads:  # every rank was typed the same
            return int(error.exit_code)
        if type(error).__name__ != "NoArgsIsHelpError":
            error.message = shown(error.message)
        if type(error).__name__ == "NoSuchOption":
            error.message, error.possibilities = _no_such_option(error), None
        error.show()
        return int(error.exit_code)
    except BrokenPipeError:  # whoever read the output has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _told(f"error: {shown(error.filename or 'the system')}: {shown(reason(error))}", 1)
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        return _told("error: there is not enough memory: take fewer rows, a smaller batch_size or a smaller model", 1)
    return code if isinstance(code, int) else 0


@contextmanager
def _one_voice(leads: bool) -> Iterator[None]:
    """Of several ranks let one alone show what it does; a fault is told outside the block."""
    if leads:
        yield
        return
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


def _check_verb(words: list[str]) -> None:
    """Refuse several ranks for a verb that does not share its work among them."""
    if words and not words[0].startswith("-") and words[0] != "train":
        one_process(f"softprompt {words[0]}")


def _out_of_memory(error: Exception) -> bool:
    """Torch's own faults, too: of a GPU one of a name, of the CPU an allocator's words."""
    torchs = type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator" in str(error)
    return isinstance(error, MemoryError) or torchs


def _no_such_option(error: Any) -> str:
    """That a verb has no such option, and what was probably meant: one of its own, or a value of --set."""
    if error.ctx is None:
        return str(error.message)
    own = [name for option in error.ctx.command.params for name in option.opts if name.startswith("--")]
    settings = all_options() if "--set" in own else set()
    near = nearest(error.option_name, [*sorted(settings), *own])
    if near is None:
        return str(error.message)
    return f"{error.message}; did you mean {f'--set {near}=...' if near in settings else near}?"


def _told(line: str, code: int) -> int:
    print(line, file=sys.stderr)
    return code


def _check_paths(app: typer.Typer, words: list[str]) -> None:
    """Refuse an empty path where it was typed: as a `Path` it would be the current folder, which nobody meant."""
    options = {f"--{name.replace('_', '-')}" for name in _path_names(app)}
    for word, value in zip_longest(words, words[1:]):
        if "\0" in word:
            raise SoftPromptError(f"{quoted(word)} holds a null byte, which no path and no text may: leave it out")
        option, equals, joined = word.partition("=")
        if option in options and (joined if equals else value) == "":
            raise SoftPromptError(f"{option} is empty: give a path, or . for the current folder")


def _path_names(app: typer.Typer) -> set[str]:
    """The parameters of an app's verbs that are paths."""
    found = {
        name for group in app.registered_groups if group.typer_instance for name in _path_names(group.typer_instance)
    }
    for verb in app.registered_commands:
        assert verb.callback is not None
        hints = get_type_hints(verb.callback)
        found |= {name for name, hint in hints.items() if Path in (hint, *get_args(hint))}
    return found
