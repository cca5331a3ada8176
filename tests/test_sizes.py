"""What fits a screen: functions of at most 45 lines and 7 parameters, files of at most 300 lines.

A function counts from its `def` to its end, its docstring with it: that is what a reader scrolls through. `self` and
`cls` are no parameters. What may be longer stands below, each with the reason; nothing else may, and nothing that has
become short may stay there.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .shared.imports import PACKAGE

LINES, PARAMETERS, FILE = 45, 7, 300

_VERB = "a verb: each parameter is an option of the command line, declared on one line"
_CALL = "a public call: what may be left out has a name and a default"
MANY_PARAMETERS = {
    "cli/adapt.py adapt": _VERB,
    "cli/anchor.py anchor": _VERB,
    "cli/compare.py compare": _VERB,
    "cli/discretise.py discretise": _VERB,
    "cli/ensemble.py ensemble": _VERB,
    "cli/evaluate.py evaluate": _VERB,
    "cli/explain.py nearest": _VERB,
    "cli/multitask.py multitask": _VERB,
    "cli/predict.py predict": _VERB,
    "cli/report.py report": _VERB,
    "cli/search.py search": _VERB,
    "cli/select.py select": _VERB,
    "cli/serve.py serve": _VERB,
    "cli/train.py train": _VERB,
    "cli/transfer.py transfer": _VERB,
    "compare/auto.py train_auto": _CALL,
    "compare/layers.py select_layers": _CALL,
    "evaluation/transfer.py transfer_metrics": _CALL,
    "explain/report/page.py report": _CALL,
    "tasks/guess/from_file.py FromFile.from_file": _CALL,
    "tasks/task.py Task.load": _CALL,
    "tasks/task.py Task.with_data": _CALL,
    "training/adaptation/run.py adapt": _CALL,
    "training/multitask/run.py train_multitask": _CALL,
    "training/run.py train": _CALL,
}
_CONTRACT = "a public call: without its docstring, which tells each argument, it fits"
_HELP = "a verb of many options: without its docstring, which its help shows, it fits"
LONG = {
    "backbones/load.py load_backbone": _CONTRACT,
    "cli/anchor.py anchor": _HELP,
    "cli/compare.py compare": _HELP,
    "cli/evaluate.py evaluate": _HELP,
    "cli/explain.py nearest": _HELP,
    "cli/search.py search": _HELP,
    "cli/select.py select": _HELP,
    "cli/train.py train": _HELP,
    "cli/transfer.py transfer": _HELP,
    "compare/auto.py train_auto": _CONTRACT,
    "compare/layers.py select_layers": _CONTRACT,
    "evaluation/transfer.py transfer_metrics": _CONTRACT,
    "explain/nearest.py nearest_words": _CONTRACT,
    "explain/report/page.py report": _CONTRACT,
    "tasks/guess/from_file.py FromFile.from_file": _CONTRACT,
    "tasks/task.py Task.load": _CONTRACT,
    "training/adaptation/run.py adapt": _CONTRACT,
    "training/multitask/run.py train_multitask": _CONTRACT,
    "training/run.py train": _CONTRACT,
}


@dataclass(frozen=True)
class Function:
    """A function of the library: its file and name, its lines, those without its docstring, and its parameters."""

    place: str
    lines: int
    bare: int
    parameters: int


def functions(source: str, place: str) -> Iterator[Function]:
    """Every function in a file, those in classes and inside others as well."""
    yield from _functions(ast.parse(source), place, ())


def _functions(parent: ast.AST, place: str, inside: tuple[str, ...]) -> Iterator[Function]:
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield _function(node, f"{place} {'.'.join((*inside, node.name))}")
        named = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        yield from _functions(node, place, (*inside, node.name) if named else inside)


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef, place: str) -> Function:
    first, arguments = node.body[0], node.args
    names = [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    names += [one.arg for one in (arguments.vararg, arguments.kwarg) if one is not None]
    lines = _lines(node)
    bare = lines - _lines(first) if ast.get_docstring(node) is not None else lines
    return Function(place, lines, bare, sum(name not in ("self", "cls") for name in names))


def _lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def files() -> list[tuple[str, str]]:
    """Place and text of each file of the library."""
    return [(path.relative_to(PACKAGE).as_posix(), path.read_text()) for path in sorted(Path(PACKAGE).rglob("*.py"))]


ALL = [function for place, source in files() for function in functions(source, place)]


def test_lines_and_parameters_are_counted_as_a_reader_does() -> None:
    source = """
class A:
    @cache
    def f(self, a, /, b, *c, d=1, **e):
        '''One.

        Two.
        '''
        if a:
            def g():
                return b
"""
    assert list(functions(source, "x.py")) == [Function("x.py A.f", 8, 4, 5), Function("x.py A.f.g", 2, 2, 0)]


def test_functions_fit_a_screen() -> None:
    assert {one.place for one in ALL if one.lines > LINES} == set(LONG)


def test_a_function_is_long_by_its_docstring_alone() -> None:
    assert {one.place for one in ALL if one.bare > LINES} <= set()


def test_functions_take_few_parameters() -> None:
    assert {one.place for one in ALL if one.parameters > PARAMETERS} == set(MANY_PARAMETERS)


def test_files_are_short() -> None:
    assert {place for place, source in files() if len(source.splitlines()) > FILE} <= set()
