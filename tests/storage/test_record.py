"""Damaged prompt folders: one line that names file and field, and no memory before sizes are known."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import softprompt as sp
from softprompt.backbones.fingerprint import fingerprint
from softprompt.errors import SoftPromptError
from softprompt.methods.base import MOST
from softprompt.methods.registry import METHODS
from softprompt.storage.record import read_description, recorded

from ..attacks.damage import attempt, save_prompt
from ..shared.models import model, tokenizer
from ..shared.plugins import forgotten, installed


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_prompt("prompt_tuning", tmp_path_factory.mktemp("saved") / "prompt")


@pytest.fixture
def copied(saved: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "prompt"
    folder.mkdir()
    for path in saved.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def edit(folder: Path, *path: Any, value: Any) -> None:
    document = inside = json.loads((folder / "prompt.json").read_text())
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value
    (folder / "prompt.json").write_text(json.dumps(document))


def refusal(folder: Path) -> str:
    with pytest.raises(SoftPromptError) as error:
        sp.load(folder, model("bert"), tokenizer())
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


def test_what_is_refused_is_named_with_its_mend(copied: Path) -> None:
    edit(copied, "readout", "name", value="eyes")
    assert refusal(copied) == (
        f"{copied}/prompt.json: readout.name: no readout named 'eyes': choose from head, mask, rows, text, or install "
        "the package that brings it, or restore the file or save the prompt again"
    )


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("options", "num_virtual_tokens"), "4", "options.num_virtual_tokens: '4' would be read as 4"),
        (("options", "init_bound"), True, "options.init_bound: True would be read as 1.0"),
        (("task", "label_from_one"), "no", "task.label_from_one: 'no' would be read as False"),
        (("task", "labels"), ["w10", "w11"], "task.labels: "),
        (("task", "templates"), 3, "task: "),
        (("metrics", "interval"), [0.1], "metrics.interval.1: "),
        (("seed",), 3.0, "seed: Input should be a valid integer"),
        (("format",), 2, "format: 2, but this version reads format 1: update softprompt"),
        (("format",), True, "format: True, but this version reads format 1: restore"),
        (("sead",), 3, "sead: there is no such field"),
        (("backbone", "weights"), None, "backbone.weights: "),
        (("options", "a\nb"), 1, r"options: method 'prompt_tuning' has no option 'a\nb': choose from"),
        (("options", "num_virtual_tokens"), 10**9, "num_virtual_tokens is more than 1,048,576"),
        (
            ("options", "num_virtual_tokens"),
            MOST,
            "tensor 'table' has shape (4, 32), but prompt.json asks for (1048576,",
        ),
    ],
)
def test_nothing_is_read_as_another_thing(path: tuple[Any, ...], value: Any, told: str, copied: Path) -> None:
    edit(copied, *path, value=value)
    assert told in refusal(copied)


def test_numbers_need_no_point(copied: Path) -> None:
    edit(copied, "options", "init_bound", value=1)
    assert read_description(copied).method.init_bound == 1.0  # type: ignore[attr-defined]


def test_a_header_is_never_believed(copied: Path) -> None:
    told = json.dumps({"table": {"dtype": "F32", "shape": [2500, 10**6], "data_offsets": [0, 10**10]}}).encode()
    (copied / "prompt.safetensors").write_bytes(struct.pack("<Q", len(told)) + told + bytes(800))
    assert "prompt.safetensors: damaged or truncated (" in refusal(copied)


def test_ids_beyond_the_vocabulary(tmp_path: Path) -> None:
    folder = save_prompt("autoprompt", tmp_path / "prompt")
    save_file({"ids": torch.tensor([5, 6, 100])}, folder / "prompt.safetensors")
    with pytest.raises(SoftPromptError, match=r"prompt.safetensors: tensor 'ids' holds a token id beyond .* 100 words"):
        sp.load(folder, model("gpt2"), tokenizer())


def test_a_prompt_of_another_head(copied: Path) -> None:
    tensors = load_file(copied / "prompt.safetensors")
    save_file(
        {**tensors, "head.weight": torch.zeros(3, 32), "head.bias": torch.zeros(3)}, copied / "prompt.safetensors"
    )
    assert "tensor 'head.weight' has shape (3, 32), but prompt.json asks for (2, 32)" in refusal(copied)


def test_a_pipe_is_no_file(copied: Path) -> None:
    for name in ("prompt.safetensors", "prompt.json"):
        (copied / name).unlink()
        os.mkfifo(copied / name)
        assert f"{name}: " in refusal(copied)


def test_what_a_course_of_a_package_tells_stands_under_report(saved: Path, tmp_path: Path) -> None:
    prompt = sp.load(saved, model("bert"), tokenizer())
    assert prompt.meta["told"] == {}
    prompt.meta["first_gradient"] = 0.5
    sp.save(prompt, tmp_path / "again")
    assert json.loads((tmp_path / "again" / "prompt.json").read_text())["report"] == {"told": {}, "first_gradient": 0.5}
    assert sp.load(tmp_path / "again", model("bert"), tokenizer()).meta == prompt.meta


def test_what_no_file_can_hold_is_not_written() -> None:
    described = {"method": "capt", "options": {}, "task": None, "readout": {}, "backbone": {}}
    with pytest.raises(SoftPromptError, match="prompt.json: .*not JSON serializable"):
        recorded(described, {"told": object()})
    with pytest.raises(SoftPromptError, match="prompt.json: seed: "):
        recorded(described | {"backbone": fingerprint(model("bert")).model_dump(mode="json")}, {"seed": "three"})


def test_every_door(saved: Path, copied: Path) -> None:
    edit(copied, "backbone", "dtype", value=16)
    assert attempt(copied, "prompt_tuning", "backbone.dtype") == "refused by file and field"
    method = sp.PromptTuning(num_virtual_tokens=4, init="saved", init_prompt=str(saved))
    with sp.attach(model("bert"), tokenizer(), method) as prompted:
        assert torch.equal(prompted.prompts[0].table, load_file(saved / "prompt.safetensors")["table"])
    table = load_file(saved / "prompt.safetensors")["table"]
    save_file({"table": table.double()}, copied / "prompt.safetensors")
    with pytest.raises(SoftPromptError, match="a table of shape .* and type F64"):
        sp.attach(model("bert"), tokenizer(), method.model_copy(update={"init_prompt": str(copied)}))


def test_a_method_whose_package_is_broken_is_told(
    copied: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    forgotten(monkeypatch, METHODS)
    files = {"broken_package.py": "import no_such_library"}
    installed(monkeypatch, tmp_path / "site", "broken", {"methods": {"wonder": "broken_package:Wonder"}}, files)
    edit(copied, "method", value="wonder")
    told = refusal(copied)
    assert told.startswith(f"{copied}/prompt.json: method: method 'wonder' of package broken 1.0")
    assert "no_such_library" in told
    assert told.endswith("or restore the file or save the prompt again")
