"""What every method says of itself: where it comes from, and how it is trained."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from softprompt.methods import methods

from ..shared.models import ENCODERS
from ..shared.prompts import METHODS

ROOT = Path(__file__).parents[2]


def test_every_method_has_a_recipe_with_a_source_for_every_family() -> None:
    for cls in methods().values():
        for family in (*ENCODERS, "t5", "llama", "gemma3_text"):
            for kind in ("encoder", "encoder-decoder", "causal"):
                recipe = cls().recipe(family, kind)
                assert recipe.source
                assert recipe.learning_rate > 0 or cls.name == "hard_prompt"


def test_every_method_meets_the_invariants_and_has_a_page() -> None:
    names = set(methods(installed=False))
    seen = {method.name for method in METHODS.values()}
    assert names - seen == set(), "of these no tests/methods/test_NAME.py has EXAMPLES: see tests/shared/prompts.py"
    told = "\n".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "methods").glob("*.md"))
    missing = {name for name in names if not re.search(rf"^::(options|recipes) {name}$", told, flags=re.M)}
    assert missing == set(), "of these no page of docs/methods has ::options NAME or ::recipes NAME"


@pytest.mark.parametrize("name", list(methods()))
def test_every_method_says_where_it_comes_from(name: str) -> None:
    found: Any = methods()[name]
    assert found.title
    assert found.url.startswith("https://")
    assert found.site in ("stream", "hidden", "attention", "weights", "none")
    assert "default" in found.recipes
    assert all(recipe.source for recipe in found.recipes.values())
    assert all(field.description for field in found.model_fields.values())
    for kind in ("causal", "encoder", "encoder-decoder"):
        assert found().recipe("no_family", kind).source
        # Label rows and mixtures read label words, so without a language-model head they are refused by name.
        own = {"warp": "rows", "soft_words": "mask" if kind == "encoder" else "text"}
        assert found().readout(kind, has_lm_head=False) == own.get(name, "head")
