"""An architecture that follows no family works where nothing need be told, and elsewhere by `register_anatomy`."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from benchmarks.sweep.bare import Bare
from benchmarks.sweep.cases import CASES
from benchmarks.sweep.checks import Checks
from benchmarks.sweep.verdict import HOLDS, UNKNOWN, Verdict

import softprompt as sp
from softprompt.backbones import anatomy
from softprompt.errors import SoftPromptError

from ..shared.models import HIDDEN, VOCABULARY, tokenizer
from ..shared.own_family import Hut, TowerModel, TowerSpeaks, own


def told(model: Any) -> sp.Anatomy:
    """What nobody can read where layers stand in no list."""
    layers = model.tower.floors()
    attentions = tuple(layer.gaze if model.config.open else None for layer in layers)
    own_parts = {"layers": layers, "attentions": attentions, "hidden_size": model.config.width}
    return dataclasses.replace(sp.read_anatomy(model), **own_parts)


EVERY = {"effect", "reference", "rows", "again", "gradient", "bfloat16", "detach"}
every_kind = pytest.mark.parametrize("kind", [TowerModel, TowerSpeaks, Hut])


def checks(backbone: Any, method: str) -> dict[str, Verdict]:
    """All checks of the sweep but `generate`, for which such a model has no cache."""
    (case,) = [one for one in CASES if one.name == method]
    found = Checks(Bare(backbone, "base"), tokenizer()).of_case(case)
    return {name.removeprefix(f"{method} "): one for name, one in found.items()}


def faults(found: dict[str, Verdict]) -> dict[str, str]:
    return {name: one.note for name, one in found.items() if one.word != HOLDS}


@every_kind
def test_what_its_configuration_does_not_tell_is_read_from_the_model(kind: Any) -> None:
    found = sp.read_anatomy(own(kind))
    assert (found.kind, found.num_layers, found.hidden_size) == ("causal", 3, HIDDEN)
    assert (found.embedding_size, found.vocab_size, found.max_positions) == (HIDDEN, VOCABULARY, 64)


@every_kind
@pytest.mark.parametrize("method", ["prompt_tuning", "capt"])
def test_embedding_and_layers_need_no_line(kind: Any, method: str) -> None:
    found = checks(own(kind), method)
    assert faults(found) == {}
    assert set(found) == EVERY


@pytest.mark.parametrize("method", ["p_tuning_v2", "prefix_tuning"])
def test_attention_in_lines_of_its_own_is_refused_in_a_true_line(method: str) -> None:
    found = checks(own(), method)
    assert set(found) == {"effect", "refusal", "detach"}
    assert set(faults(found)) == {"effect"}


def test_layers_that_stand_in_no_list_are_served_once_they_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    scattered = own(listed=False)
    assert faults(checks(scattered, "prompt_tuning")) == {}
    with pytest.raises(SoftPromptError, match="cannot serve the site 'hidden': .*prompt_tuning"):
        sp.attach(scattered, tokenizer(), sp.CaPT())

    monkeypatch.setattr(anatomy._READERS, "known", {})
    sp.register_anatomy("tower", told)
    found = checks(scattered, "capt")
    assert faults(found) == {}
    assert set(found) == EVERY


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("method", ["p_tuning_v2", "prefix_tuning"])
def test_attention_that_looks_its_function_up_is_served(
    method: str, listed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = own(listed=listed, open=True)
    monkeypatch.setattr(anatomy._READERS, "known", {})
    if not listed:
        sp.register_anatomy("tower", told)
    found = checks(backbone, method)
    assert {name: note for name, note in faults(found).items() if name != "reference"} == {}
    assert found["reference"].word == UNKNOWN  # such a model has no cache to compare with
    assert set(found) == EVERY
