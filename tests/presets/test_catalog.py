"""Presets are read from YAML, and a bad one is one line that names its file and key."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from softprompt.backbones.anatomy import BackboneKind
from softprompt.errors import SoftPromptError
from softprompt.methods.registry import method
from softprompt.presets.catalog import preset, preset_names
from softprompt.presets.definition import PresetRun
from softprompt.training.options import TrainingOptions

GOOD: dict[str, Any] = {
    "description": "ours",
    "title": "none",
    "url": "https://example.org",
    "source": "nowhere",
    "evidence": "our choice",
    "method": "capt",
    "runs": [{"name": "any"}],
}


def written(folder: Path, values: object, name: str = "own.yaml") -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_of_the_catalog_names_options_that_there_are(name: str) -> None:
    found = preset(name)
    assert found.name == name
    assert found.url == method(found.method).url
    for run in found.runs:
        method(found.method, **{**found.options, **run.options})
        TrainingOptions(**{**found.training, **run.training})


def test_kinds_are_those_of_backbones() -> None:
    assert set(get_args(get_args(PresetRun.model_fields["kinds"].annotation)[0])) == set(get_args(BackboneKind))


def test_one_of_your_own_is_a_path(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    assert preset(path) == preset(str(path))
    assert preset(path).name == "own"
    assert preset(written(tmp_path, {**GOOD, "name": "mine"})).name == "mine"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"method": None}, "key 'method'"),
        ({"runs": []}, "key 'runs'"),
        ({"runs": [{"name": "x", "kinds": ["decoder"]}]}, "key 'runs.0.kinds.0'"),
        ({"runs": [{"name": "x", "layers": 0}]}, "key 'runs.0.layers'"),
        ({"optoins": {}}, "there is no key 'optoins'; did you mean 'options'?"),
        ({"training": ["epochs"]}, "key 'training'"),
        ({"options": {"init_std": float("nan")}}, "key 'options"),
        ({"dtype": "float8"}, "key 'dtype'"),
    ],
)
def test_a_fault_is_one_line_with_file_and_key(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    path = written(tmp_path, {**GOOD, **change})
    with pytest.raises(SoftPromptError) as error:
        preset(path)
    assert str(error.value).startswith(f"preset {path}: ")
    assert told in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("lestr", "no preset named 'lestr': did you mean 'lester'? choose from capt-paper, lester"),
        ("nowhere.yaml", "nowhere.yaml"),
        ("../lester", "no preset named '../lester'"),
    ],
)
def test_what_is_no_preset_is_one_line(given: str, told: str) -> None:
    with pytest.raises(SoftPromptError) as error:
        preset(given)
    assert told in str(error.value)


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words\n", "", "a: [1\n", "a: 1\na: 2\n"])
def test_what_is_no_mapping_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(SoftPromptError) as error:
        preset(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_name_may_be_a_path() -> None:
    assert preset(Path("lester")) == preset("lester")
