"""Prompt files: I8 (a fresh process, the same logits), I10 (another backbone is refused), and every kind of damage."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import softprompt as sp
from softprompt.errors import SoftPromptError
from softprompt.files import tensors as files

from ..shared.models import ids, model, tokenizer
from ..shared.prompts import METHODS, near
from ..shared.runs import run

_FRESH = """
import sys, torch
import softprompt as sp
from tests.shared.models import ids, model, tokenizer
from safetensors.torch import save_file
found = {}
for line in sys.stdin.read().split():
    folder, family = line.split("|")
    prompt = sp.load(folder, model(family), tokenizer())
    with prompt.attach() as prompted, torch.no_grad():
        more = {"decoder_input_ids": ids(3)} if family in ("t5", "bart") else {}
        found[line] = prompted(input_ids=ids(9, 1), **more).logits.contiguous()
save_file(found, sys.argv[1])
"""


@pytest.mark.no_cover  # lines that training/test_run.py counts for each method
@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_fresh_process_gives_the_same_logits(every: bool, tmp_path: Path) -> None:
    """One process for all methods: starting one costs seconds. By default their families take turns."""
    expected: dict[str, torch.Tensor] = {}
    for place, method in enumerate(METHODS):
        families = near(method)
        for family in families if every else families[place % len(families) :][:1]:
            done = run(tmp_path / f"{method}-{family}", family, METHODS[method], max_steps=1, evaluations=1)
            folder = done.folder / "prompt"
            with done.prompt.attach() as prompted, torch.no_grad():
                more = {"decoder_input_ids": ids(3)} if family in ("t5", "bart") else {}
                expected[f"{folder}|{family}"] = prompted(input_ids=ids(9, 1), **more).logits
    root = Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _FRESH, str(tmp_path / "found.safetensors")],
        input="\n".join(expected), text=True, check=True, cwd=root, capture_output=True,
        env={**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'src'}", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    found = load_file(tmp_path / "found.safetensors")
    assert found.keys() == expected.keys()
    for name, logits in expected.items():
        # A re-parametrised prefix is stored as the keys and values it makes: equal up to rounding.
        torch.testing.assert_close(found[name], logits, atol=1e-5, rtol=1e-5, msg=name)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("saved"), "llama", METHODS["capt"], max_steps=1).folder / "prompt"


def _reload(folder: Path, backbone: nn.Module | None = None) -> Any:
    return sp.load(folder, backbone if backbone is not None else model("llama"), tokenizer())


def test_a_run_is_as_good_as_its_prompt(saved: Path) -> None:
    assert _reload(saved.parent).meta == _reload(saved).meta


def test_the_folder_holds_what_it_says(saved: Path) -> None:
    assert sorted(path.name for path in saved.iterdir()) == [
        "README.md", "manifest.json", "prompt.json", "prompt.safetensors", "rows.safetensors",
    ]  # fmt: skip
    meta = json.loads((saved / "prompt.json").read_text())
    assert meta["method"] == "capt"
    assert meta["backbone"]["family"] == "llama"
    assert meta["task"]["template"] == "{text} {mask}"
    assert list(meta["task"]["labels"].values()) == ["w10", "w11"]
    assert {"versions", "metrics", "seed"} <= meta.keys()
    card = (saved / "README.md").read_text()
    assert "library_name: softprompt" in card
    assert "arxiv.org/abs/2510.16670" in card


@pytest.mark.parametrize(
    ("backbone", "difference"),
    [
        (lambda: model("gpt2"), "family"),
        (lambda: model("llama", layers=2), "num_layers"),
        (lambda: model("llama", seed=1), "weights"),
    ],
)
def test_another_backbone_is_refused_with_the_difference(backbone: Any, difference: str, saved: Path) -> None:
    with pytest.raises(SoftPromptError, match=difference) as error:
        _reload(saved, backbone())
    assert "\n" not in str(error.value)


def _rewrite(folder: Path, change: Any) -> None:
    found = load_file(folder / "prompt.safetensors")
    change(found)
    save_file(found, folder / "prompt.safetensors")
    _meant(folder)


def _meta(folder: Path, change: Any) -> None:
    meta = json.loads((folder / "prompt.json").read_text())
    change(meta)
    (folder / "prompt.json").write_text(json.dumps(meta))
    _meant(folder)


def _meant(folder: Path) -> None:
    """Without a manifest, what was changed is what counts."""
    (folder / "manifest.json").unlink(missing_ok=True)


DAMAGE = {
    "no tensors": (lambda f: (f / "prompt.safetensors").unlink(), "prompt.safetensors: no such file"),
    "no meta": (lambda f: (f / "prompt.json").unlink(), "prompt.json: no such file"),
    "truncated": (
        lambda f: (f / "prompt.safetensors").write_bytes((f / "prompt.safetensors").read_bytes()[:200]),
        "truncated",
    ),
    "empty tensors": (lambda f: (f / "prompt.safetensors").write_bytes(b""), "truncated"),
    "bad json": (lambda f: (f / "prompt.json").write_text('{"method": '), "cannot be read as JSON"),
    "json list": (lambda f: (f / "prompt.json").write_text("[]"), "no JSON object"),
    "binary json": (lambda f: (f / "prompt.json").write_bytes(b"\xff\xfe\x00"), "cannot be read as JSON"),
    "nan": (lambda f: _rewrite(f, lambda t: t["table"].fill_(float("nan"))), "NaN"),
    "shape": (lambda f: _rewrite(f, lambda t: t.update(table=t["table"][:1])), "has shape"),
    "name": (lambda f: _rewrite(f, lambda t: t.update(other=t.pop("table"))), "'table' is missing"),
    "format": (lambda f: _meta(f, lambda m: m.update(format=99)), "reads format 1"),
    "method": (lambda f: _meta(f, lambda m: m.update(method="magic")), "no method named 'magic'"),
    "option": (lambda f: _meta(f, lambda m: m["options"].update(select="sideways")), "select"),
    "key": (lambda f: _meta(f, lambda m: m.pop("backbone")), "no 'backbone'"),
}


@pytest.mark.parametrize("kind", list(DAMAGE))
def test_damage_is_one_clear_line(kind: str, saved: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(saved, folder)
    harm, message = DAMAGE[kind]
    harm(folder)
    with pytest.raises(SoftPromptError, match=message) as error:
        _reload(folder)
    assert "\n" not in str(error.value)
    assert _reload(saved).method.name == "capt"


@pytest.mark.parametrize("harm", ["missing", "shape"])
def test_weights_that_a_file_lacks_are_refused_and_the_model_stays(harm: str, tmp_path: Path) -> None:
    run(tmp_path, "llama", METHODS["full_finetuning"])
    folder, key = tmp_path / "run" / "prompt", "weights.model/norm/weight"
    _rewrite(folder, lambda t: t.pop(key) if harm == "missing" else t.update({key: t[key][:1]}))
    backbone = model("llama")
    before = {name: (value, value.clone()) for name, value in backbone.named_parameters()}
    with pytest.raises(SoftPromptError, match="lacks the backbone's weight 'model.norm.weight'"), torch.no_grad():
        _reload(folder, backbone).attach()
    for name, value in backbone.named_parameters():
        assert value is before[name][0]
        assert torch.equal(value, before[name][1])


def test_a_failed_write_leaves_the_old_prompt(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(saved, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    prompt = _reload(folder)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "save_file", full)
    with pytest.raises(SoftPromptError, match="No space left on device"):
        sp.save(prompt, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_saving_again_gives_the_same_tensors(saved: Path, tmp_path: Path) -> None:
    sp.save(_reload(saved), tmp_path / "again")
    assert (tmp_path / "again" / "prompt.safetensors").read_bytes() == (saved / "prompt.safetensors").read_bytes()
    sp.save(_reload(saved), tmp_path / "again")
    assert (tmp_path / "again" / "prompt.safetensors").read_bytes() == (saved / "prompt.safetensors").read_bytes()


def test_a_prompt_starts_another_prompt(saved: Path, tmp_path: Path) -> None:
    made = run(tmp_path, "llama", METHODS["prompt_tuning"], max_steps=1).folder / "prompt"
    method = sp.PromptTuning(num_virtual_tokens=4, init="saved", init_prompt=str(made))
    with sp.attach(model("llama"), tokenizer(), method) as prompted:
        table = prompted.prompts[0].state_dict()["table"]
    torch.testing.assert_close(table, load_file(made / "prompt.safetensors")["table"])
    wrong = sp.PromptTuning(num_virtual_tokens=5, init="saved", init_prompt=str(made))
    with pytest.raises(SoftPromptError, match="shape"):
        sp.attach(model("llama"), tokenizer(), wrong)


def test_many_prompts_of_one_backbone_serve_one_batch(tmp_path: Path) -> None:
    prompts = {
        name: _reload(run(tmp_path / name, "llama", METHODS[name], max_steps=1).folder / "prompt")
        for name in ("capt", "prompt_tuning", "p_tuning_v2")
    }
    rows = torch.cat([ids(9, seed) for seed in range(3)])
    alone = []
    for row, prompt in enumerate(prompts.values()):
        with prompt.attach() as prompted, torch.no_grad():
            alone.append(prompted(input_ids=rows[row : row + 1]).logits[0])
    with sp.attach(model("llama"), tokenizer(), prompts) as prompted, torch.no_grad():
        together = prompted(input_ids=rows, prompts=list(prompts)).logits
    torch.testing.assert_close(together, torch.stack(alone), atol=1e-4, rtol=1e-4)
