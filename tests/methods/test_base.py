"""What every method says of itself: where it comes from, and how it is trained."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic.fields import FieldInfo

from softprompt.attached.attach import build
from softprompt.backbones.anatomy import BackboneKind
from softprompt.methods import method as method_of
from softprompt.methods import methods
from softprompt.methods.base import Recipe

from ..shared.models import ENCODERS, model, tokenizer
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


def _another(field: FieldInfo) -> object:
    """A value that is not the default, of its type."""
    choices, value = get_args(field.annotation), field.default
    if isinstance(value, str) and choices:
        return next(one for one in choices if one != value)
    if isinstance(value, bool):
        return not value
    others = {int: lambda: value + 1, float: lambda: value / 2 + 0.05, tuple: lambda: ("w20",)}
    return others.get(type(value), lambda: "w20")()


@pytest.mark.parametrize("name", [name for name, one in methods().items() if one.needs])
def test_an_option_that_another_rules_out_changes_nothing(name: str) -> None:
    """What `in_use` leaves out has no part in the prompt."""
    kind = methods()[name]
    backbone = model("llama")
    for option, (other, values) in kind.needs.items():
        field = kind.model_fields[other]
        if isinstance(field.default, str):
            choices = (field.default, *get_args(field.annotation))
            shut = next(one for one in choices if one not in values)
        elif values is True:
            shut = None if field.default is None else type(field.default)()
        else:
            continue  # other prompts' folders
        usual = method_of(name, **{other: shut})
        asked = method_of(name, **{other: shut, option: _another(kind.model_fields[option])})
        made = [build(backbone, tokenizer(), one, label_words=("w20",)) for one in (usual, asked)]
        assert option not in asked.in_use()
        assert repr(made[0]) == repr(made[1]), option
        assert {n: t.tolist() for n, t in made[0].stored().items()} == {
            n: t.tolist() for n, t in made[1].stored().items()
        }


# METHODS 13.4 and the methods' scripts: the rates that a source publishes for a method on a family, from least to most.
PUBLISHED: dict[tuple[str, str, BackboneKind], tuple[float, float]] = {
    ("prompt_tuning", "t5", "encoder-decoder"): (0.3, 0.3),
    ("xprompt", "t5", "encoder-decoder"): (0.3, 0.3),
    ("residual_prompt", "t5", "encoder-decoder"): (0.3, 0.3),
    ("smop", "t5", "encoder-decoder"): (0.5, 0.5),
    ("capt", "t5", "encoder-decoder"): (0.1, 5),
    ("deep_prompt", "t5", "encoder-decoder"): (0.1, 5),
    ("dept", "t5", "encoder-decoder"): (0.3, 0.4),
    ("p_tuning_v2", "bert", "encoder"): (5e-3, 1e-2),
    ("p_tuning_v2", "roberta", "encoder"): (5e-3, 1e-2),
    ("p_tuning", "albert", "encoder"): (1e-4, 1e-4),
    ("prefix_tuning", "gpt2", "causal"): (5e-5, 8e-5),
    ("prefix_tuning", "bart", "encoder-decoder"): (5e-5, 8e-5),
    ("warp", "roberta", "encoder"): (1e-3, 1e-3),
    ("warp", "albert", "encoder"): (1e-3, 1e-3),
    ("lpt", "roberta", "encoder"): (1e-3, 1e-3),
    ("lpt", "gpt2", "causal"): (5e-4, 5e-4),
    ("idpg", "roberta", "encoder"): (1e-4, 5e-3),
    ("adapter", "bert", "encoder"): (3e-4, 3e-4),
    ("soft_words", "bert", "encoder"): (1e-3, 1e-3),
}


@pytest.mark.parametrize(("name", "family", "kind"), PUBLISHED)
def test_a_published_rate_is_the_recipes_and_told_so(name: str, family: str, kind: BackboneKind) -> None:
    recipe = methods()[name]().recipe(family, kind)
    least, most = PUBLISHED[name, family, kind]
    assert least <= recipe.learning_rate <= most
    assert not recipe.carried_to(family)


def test_every_recipe_says_on_which_families_its_rate_was_measured() -> None:
    """A rate that no source has for the method on the family is carried over, whatever it is called there."""
    families = {"bert", "roberta", "albert", "gpt2", "llama", "qwen2", "gemma3_text", "t5", "bart"}
    for name, method in methods(installed=False).items():
        # The rate of a head on standardised features, of a search's probe, or none.
        free = name in ("hard_prompt", "head_only", "autoprompt")
        for key, recipe in method.recipes.items():
            assert (recipe.measured_on is None) == free, (name, key)
            assert set(recipe.measured_on or ()) <= families, (name, key)
    for name in ("capt", "deep_prompt", "prompt_tuning", "superpos", "dept"):
        assert methods()[name]().recipe("roberta", "encoder").carried_to("roberta")
    assert methods()["p_tuning_v2"]().recipe("t5", "encoder-decoder").carried_to("t5")
    assert methods()["capt"]().recipe("bart", "encoder-decoder").carried_to("bart")
    assert not Recipe(0.1, "a package's").carried_to("bert")
