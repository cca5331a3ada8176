"""The method that is taken where nobody names one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from softprompt.backbones.backbone import Backbone
from softprompt.methods import default
from softprompt.methods.base import Recipe
from softprompt.methods.default import STEPS, default_method, passes

from ..shared.models import FAMILIES, model, tokenizer

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_one_that_can_serve_it(family: str) -> None:
    backbone = Backbone(model(family), tokenizer())
    found = default_method(backbone)
    assert backbone.refusal(found.method.site) is None
    assert found.method.refusal(backbone.anatomy) is None
    assert found.told.startswith(f"method: {found.method.name} (the default ")


def _means(table: str) -> dict[str, list[float]]:
    """Accuracies by method of a results page."""
    found: dict[str, list[float]] = {}
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) > 3 and cells[0] not in ("method", "arm") and cells[0][0] != "-":
            number = next((cell for cell in cells[1:3] if cell[:2] == "0."), None)
            found.setdefault(cells[0], []).extend([float(number)] if number else [])
    return {name: values for name, values in found.items() if values}


def test_what_is_said_of_it_was_measured() -> None:
    gemma = _means((RESULTS / "methods.md").read_text())
    whole = {"full_finetuning"}
    best = max((sum(values) / 2, name) for name, values in gemma.items() if len(values) == 2 and name not in whole)
    assert best[1] == "prefix_tuning"


def test_what_is_said_of_sentence_encoders_was_measured() -> None:
    rows = json.loads((RESULTS / "rates.json").read_text())
    found: dict[tuple[str, float], list[float]] = {}
    for row in rows:
        found.setdefault((row["arm"], row["rate"]), []).append(row["validation"][row["metric"]])
    means = {arm: f"{sum(values) / len(values):.3f}" for arm, values in found.items() if len(values) == 9}
    for arm, told in (("capt", 0.688), ("deep_prompt", 0.705), ("p_tuning_v2", 0.559), ("p_tuning_v2 mean", 0.671)):
        assert f"{told}" in {mean for (name, _), mean in means.items() if name == arm}
        assert f"{told}" in (default.__doc__ or "")


def test_an_encoder_that_writes_no_words_has_another_default() -> None:
    with_head = Backbone(model("bert"), tokenizer())
    without = Backbone(with_head.model.base_model, tokenizer())
    assert [default_method(one).method.name for one in (with_head, without)] == ["p_tuning_v2", "capt"]


def test_many_rows_are_gone_over_less_often() -> None:
    recipe = Recipe(0.01, "ours", epochs=60)
    found = [passes(recipe, rows, 16) for rows in (0, 1, 96, 320, 2_000, 10**6)]
    assert found == [60, 60, 60, 18, 3, 3]
    assert all(passes(recipe, rows, 16) * -(-rows // 16) <= STEPS for rows in range(1, 1900, 50))
