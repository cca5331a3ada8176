"""A reader's own method: one file, registered from outside by a decorator or an entry point."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
import torch
from pydantic import Field
from torch import Tensor, nn

from softprompt.attached.attach import attach
from softprompt.errors import SoftPromptError
from softprompt.methods import BuildContext, Method, Recipe, method, methods, register
from softprompt.methods.registry import METHODS
from softprompt.sites.producer import Producer, View

from ..shared.models import ids, model, padded, tokenizer
from ..shared.plugins import forgotten, installed
from ..shared.prompts import close, every_family, logits, loss_of


class Shifted(Method):
    """One vector that is added to the mean of the text: a method of a reader's own."""

    name: ClassVar[str] = "shifted"
    title: ClassVar[str] = "A Reader's Paper"
    url: ClassVar[str] = "https://example.org/paper"
    site: ClassVar[str] = "stream"
    recipes: ClassVar[dict[str, Recipe]] = {"default": Recipe(0.1, "the reader's choice")}

    num_virtual_tokens: int = Field(2, ge=1, description="how many tokens share the vector")

    def build(self, context: BuildContext) -> Producer:
        return ShiftedVector(self.num_virtual_tokens, context)


class ShiftedVector(Producer):
    def __init__(self, count: int, context: BuildContext) -> None:
        super().__init__()
        self.count = count
        self.vector = nn.Parameter(torch.randn(context.anatomy.embedding_size, generator=context.generator))

    def embed(self, view: View) -> Tensor:
        return (view.mean() + self.vector).expand(-1, self.count, -1)


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test starts from the library's own methods."""
    forgotten(monkeypatch, METHODS)


def check(made: Method, family: str) -> None:
    with attach(model(family), tokenizer(), made) as prompted:
        rows = [ids(6, 1), ids(3, 2)]
        with torch.no_grad():
            for row, together in zip(rows, logits(prompted, *padded(rows, "left")), strict=True):
                close(together, logits(prompted, row)[0])
        loss_of(prompted, rows[0]).backward()
        (trained,) = [p for p in prompted.parameters() if p.requires_grad]
        assert trained.grad is not None
        assert bool(trained.grad.any())


@every_family
def test_a_decorated_class(family: str) -> None:
    assert register(Shifted) is Shifted
    assert methods()["shifted"] is Shifted
    check(method("shifted", num_virtual_tokens=3), family)


def test_an_entry_point(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed(monkeypatch, tmp_path, "shifting", {"methods": {"shifted": f"{__name__}:Shifted"}}, {})
    check(method("shifted"), "llama")
    assert "shifted" in methods()


def test_a_name_is_taken_once() -> None:
    register(Shifted)
    register(Shifted)  # the same class again, as a notebook's second run does

    class Other(Shifted):
        name: ClassVar[str] = "shifted"

    with pytest.raises(SoftPromptError, match="'shifted' is registered already.*Shifted.*Other"):
        register(Other)


def test_unknown_names_and_options() -> None:
    with pytest.raises(SoftPromptError, match="no method named 'nothing': choose from .*capt, .*deep_prompt"):
        method("nothing")
    with pytest.raises(SoftPromptError, match="method 'capt' has no option 'length': choose from consistency"):
        method("capt", length=3)
    with pytest.raises(SoftPromptError, match="option 'num_virtual_tokens' of method 'capt'.*given: 0"):
        method("capt", num_virtual_tokens=0)
    with pytest.raises(
        SoftPromptError, match="option 'select' of method 'capt'.*choose from all, input.*learned:open or 0,3,7"
    ) as error:
        method("capt", select="some")
    assert "\n" not in str(error.value)


UNFIT = {
    "a function": ("def Shifted(): ...", "is no sub-class of softprompt.Method"),
    "a module's number": ("Shifted = 3", "3 is no sub-class of softprompt.Method"),
    "an instance": ("Shifted = sp.PromptTuning()", "is no sub-class of softprompt.Method"),
    "no recipes": (
        "class Shifted(sp.Method):\n  name = 'shifted'\n  def build(self, context): ...",
        "has no title, url, site, recipes",
    ),
    "no build": (
        "class Shifted(sp.Method):\n  name = title = url = site = 'shifted'\n  recipes = {}",
        "has no build: see softprompt.Method",
    ),
    "no default recipe": ("class Shifted(sp.PromptTuning):\n  name = 'shifted'\n  recipes = {}", "no recipe 'default'"),
    "another build": (
        "class Shifted(sp.PromptTuning):\n  name = 'shifted'\n  def build(self, anatomy, tokenizer, words): ...",
        r"build takes something else than a BuildContext: write build\(self, context\)",
    ),
    "a class of an earlier version": ("class Shifted(sp.methods.base.Prompting): ...", "AttributeError"),
    "an option of no type": ("class Shifted(sp.PromptTuning):\n  name = 'shifted'\n  tokens = 3", "PydanticUserError"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_a_package_whose_method_cannot_be_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, case: str) -> None:
    code, said = UNFIT[case]
    files = {"unfit_package.py": f"import softprompt as sp\nimport softprompt.methods\n{code}"}
    installed(monkeypatch, tmp_path, "unfit", {"methods": {"shifted": "unfit_package:Shifted"}}, files)
    assert method("capt").name == "capt"
    assert "shifted" not in methods()
    with pytest.raises(SoftPromptError, match=rf"'shifted' of package unfit 1\.0 .* cannot be used: .*{said}") as error:
        method("shifted")
    assert "\n" not in str(error.value)


def test_a_method_that_says_too_little_is_told_when_it_is_registered() -> None:
    class Silent(Method):
        name: ClassVar[str] = "silent"

        def build(self, context: BuildContext) -> Producer:
            raise NotImplementedError

    with pytest.raises(SoftPromptError, match=r"Silent has no title, url, site, recipes"):
        register(Silent)


def test_a_method_that_builds_no_producer_is_told() -> None:
    class Bare(Shifted):
        def build(self, context: BuildContext) -> Producer:
            return nn.Linear(1, 1)  # type: ignore[return-value]

    with pytest.raises(SoftPromptError, match="method 'shifted' builds a Linear: have it give a Producer"):
        attach(model("llama"), tokenizer(), Bare())
