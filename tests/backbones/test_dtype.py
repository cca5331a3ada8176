"""The type that a backbone takes: the checkpoint's where the machine multiplies it well, and one line that says why."""

from __future__ import annotations

import copy
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import softprompt as sp
from softprompt.backbones.arithmetic import ProductRates
from softprompt.backbones.dtype import choose_dtype
from softprompt.backbones.fingerprint import fingerprint
from softprompt.backbones.load import load_backbone
from softprompt.errors import SoftPromptError

from ..shared.checkpoints import with_adapter
from ..shared.models import model, tokenizer
from ..shared.runs import task

AVX2 = ProductRates(float32=95, bfloat16=2.5, float16=5)
AVX512_BF16 = ProductRates(float32=95, bfloat16=200, float16=5)
T4 = ProductRates(float32=4000, bfloat16=1000, float16=20000)
PASCAL = ProductRates(float32=9000, bfloat16=0, float16=150)
A100 = ProductRates(float32=15000, bfloat16=200000, float16=210000)
F32, BF16, F16 = torch.float32, torch.bfloat16, torch.float16


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give the machine rates; None where nothing may be measured."""

    def set_rates(rates: ProductRates | None) -> None:
        def measured(device: torch.device) -> ProductRates:
            assert rates is not None, "measured in vain"
            return rates

        monkeypatch.setattr("softprompt.backbones.arithmetic.measured_rates", measured)

    return set_rates


KEPT = "bfloat16: the checkpoint's type, 2.1x as fast as float32 on this processor"
NO_BF16 = "bfloat16, as asked: this processor multiplies no bfloat16 (38x slower than float32 when tried)"
NO_F16 = "float16, as asked: this processor multiplies no float16 (19x slower than float32 when tried)"
SLOW_F32 = "float32, as asked: float32 is 2.1x slower than bfloat16 on this processor"
SLOW_BF16 = "float32: bfloat16 is 1.5x slower on this device (mps)"
CASES = [
    ("auto", F32, "cpu", None, F32, ""),
    ("float32", F32, "cpu", None, F32, ""),
    ("auto", torch.float64, "cpu", None, torch.float64, ""),
    ("float32", torch.float64, "cpu", None, F32, ""),
    ("auto", F16, "cpu", None, F32, "float32: the checkpoint is in float16, which is for GPUs"),
    ("auto", BF16, "cpu", AVX2, F32, "float32: this processor multiplies no bfloat16 (38x slower when tried)"),
    ("auto", BF16, "cpu", AVX512_BF16, BF16, KEPT),
    ("auto", BF16, "cuda", T4, F32, "float32: this GPU multiplies no bfloat16 (4.0x slower when tried)"),
    ("auto", BF16, "cuda", PASCAL, F32, "float32: this GPU multiplies no bfloat16"),
    ("auto", F16, "cuda", T4, F16, "float16: the checkpoint's type, 5.0x as fast as float32 on this GPU"),
    ("auto", F16, "cuda", PASCAL, F32, "float32: this GPU multiplies no float16 (60x slower when tried)"),
    ("auto", BF16, "cuda", A100, BF16, "bfloat16: the checkpoint's type, 13x as fast as float32 on this GPU"),
    ("auto", BF16, "mps", ProductRates(float32=3, bfloat16=2, float16=3), F32, SLOW_BF16),
    ("bfloat16", BF16, "cpu", AVX2, BF16, NO_BF16),
    ("bfloat16", BF16, "cpu", AVX512_BF16, BF16, ""),
    ("bfloat16", F32, "cpu", AVX512_BF16, BF16, ""),
    ("bfloat16", F32, "cpu", AVX2, BF16, NO_BF16),
    ("float16", F16, "cpu", AVX2, F16, NO_F16),
    ("float32", BF16, "cpu", AVX2, F32, ""),
    ("float32", BF16, "cpu", AVX512_BF16, F32, SLOW_F32),
    ("float32", BF16, "cuda", A100, F32, "float32, as asked: float32 is 13x slower than bfloat16 on this GPU"),
    ("float16", BF16, "cuda", A100, F16, ""),
    ("bfloat16", F16, "cuda", PASCAL, BF16, "bfloat16, as asked: this GPU multiplies no bfloat16"),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "stored", "device", "rates", "taken", "why"), CASES)
def test_the_rule(asked: str, stored: Any, device: str, rates: Any, taken: Any, why: str, able: Any) -> None:
    able(rates)
    choice = choose_dtype(asked, stored, torch.device(device))
    assert (choice.dtype, choice.why) == (taken, why)
    assert choice.costly == (asked != "auto" and bool(why))


def saved(folder: Path, stored: torch.dtype, family: str = "llama", **config: Any) -> Path:
    copy.deepcopy(model(family)).to(stored).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    if config:
        held = json.loads((folder / "config.json").read_text())
        changed = {key: value for key, value in {**held, **config}.items() if value is not None}
        (folder / "config.json").write_text(json.dumps(changed))
    return folder


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("checkpoints")
    return {
        name: saved(folder / name, getattr(torch, name.partition("-")[0]), dtype=None if "-" in name else name)
        for name in ("float32", "bfloat16", "float16", "bfloat16-unnamed", "float16-unnamed")
    }


@pytest.mark.parametrize("stored", ["bfloat16", "float16", "bfloat16-unnamed", "float16-unnamed"])
def test_a_half_checkpoint_on_a_slow_machine_has_the_bits_of_one_loaded_in_float32(stored, checkpoints, able, caplog):
    able(AVX2)
    caplog.set_level(logging.INFO, "softprompt")
    found = load_backbone(checkpoints[stored])[0]
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert caplog.messages[0].startswith("float32: ")
    asked = load_backbone(checkpoints[stored], dtype="float32")[0]
    assert len(caplog.records) == 1
    assert found.dtype == asked.config.dtype == torch.float32
    expected = dict(asked.named_parameters()) | dict(asked.named_buffers())
    assert all(torch.equal(value, expected[name]) for name, value in found.named_parameters())
    assert all(torch.equal(value, expected[name]) for name, value in found.named_buffers())


@pytest.mark.parametrize("stored", ["bfloat16", "bfloat16-unnamed"])
def test_a_slow_type_is_obeyed_and_its_cost_is_a_warning(stored, checkpoints, able, caplog, capfd):
    able(AVX2)
    for asked in ("bfloat16", torch.bfloat16):
        caplog.clear()
        assert load_backbone(checkpoints[stored], dtype=asked)[0].dtype == torch.bfloat16
        assert [(record.levelname, record.name.partition(".")[0]) for record in caplog.records] == [
            ("WARNING", "softprompt")
        ]
        assert "38x slower" in caplog.text
    assert capfd.readouterr().out == ""


def test_a_fast_machine_keeps_the_type(checkpoints, able):
    able(AVX512_BF16)
    for stored in ("bfloat16", "bfloat16-unnamed"):
        assert load_backbone(checkpoints[stored])[0].dtype == torch.bfloat16


def test_a_float32_checkpoint_is_never_measured(checkpoints, able, caplog):
    able(None)
    caplog.set_level(logging.INFO)
    for asked in ("auto", "float32", torch.float32):
        assert load_backbone(checkpoints["float32"], dtype=asked)[0].dtype == torch.float32
    assert caplog.messages == []


@pytest.mark.parametrize("asked", ["zork", "", "float64", "int8", "Float32", "torch.float32.", torch.float64, None, 16])
def test_an_unknown_type_is_one_line(asked, checkpoints):
    told = "cannot be used: choose one of auto, float32, bfloat16, float16$"
    with pytest.raises(SoftPromptError, match=told) as caught:
        load_backbone(checkpoints["float32"], dtype=asked)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "device",
    [
        "zork",
        "",
        "meta",
        "cuda:7",
        "cuda:-1",
        "cuda:x",
        "cuda:999999999999",
        "mps",
        "xla",
        "hpu",
        "CPU",
        "a\nb",
        99,
        1.5,
    ],
)
def test_an_unusable_device_is_one_line(device, checkpoints):
    with pytest.raises(SoftPromptError, match=r"^device .* cannot be used .*: choose cpu or cuda$") as caught:
        load_backbone(checkpoints["float32"], device=device)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("stored", "before"), [("float32", "bfloat16"), ("bfloat16", "float16"), ("float16", "float32")]
)
def test_a_prompt_of_one_type_answers_in_every_other(stored, before, checkpoints, tmp_path):
    """The backbone is the same in every type; one whose numbers changed afterwards is not."""
    loaded = {name: load_backbone(checkpoints[stored], dtype=name) for name in ("float32", "bfloat16", "float16")}
    folder = trained(*loaded[before], tmp_path).folder / "prompt"
    for name, (backbone, words) in loaded.items():
        assert backbone.dtype == getattr(torch, name)
        assert set(sp.load(folder, backbone, words).predict(["w20 w41"])) <= {"0", "1"}
    changed, words = loaded["float16"]
    with torch.no_grad():
        next(changed.parameters()).mul_(1.5)
    with pytest.raises(SoftPromptError, match="weights differ"):
        sp.load(folder, changed, words)


@pytest.mark.parametrize("stored", ["float32", "bfloat16"])
def test_a_backbone_with_an_adapter_is_the_same_in_every_type(stored, tmp_path, checkpoints):
    folder = tmp_path / "model"
    shutil.copytree(checkpoints[stored], folder)
    with_adapter(folder)
    found = [
        fingerprint(load_backbone(f"adapter:{folder}", dtype=name)[0]) for name in ("float32", "bfloat16", "float16")
    ]
    assert [one.dtype for one in found] == ["float32", "bfloat16", "float16"]
    assert len({(one.weights, one.head) for one in found}) == 1
    assert found[0].weights != fingerprint(load_backbone(checkpoints[stored])[0]).weights


def trained(backbone: Any, words: Any, folder: Path) -> sp.Run:
    return sp.train(
        backbone,
        words,
        task(folder / "data", rows=12),
        "prompt_tuning",
        output=folder / "run",
        progress=False,
        max_steps=1,
    )


def test_gemma_takes_its_scale_from_the_type_it_runs_in(tmp_path, able):
    """Its embedding scale is rounded to the type that the model is made in, so weights alone do not tell."""
    able(AVX2)
    folder = saved(tmp_path, BF16, "gemma3", dtype="bfloat16")
    found, asked = load_backbone(folder)[0], load_backbone(folder, dtype="float32")[0]
    ids = torch.tensor([[1, 20, 30, 40]])
    with torch.no_grad():
        assert torch.equal(found(ids).logits, asked(ids).logits)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_step_in_each_type(dtype, checkpoints, able, tmp_path):
    able(A100)
    backbone, words = load_backbone(checkpoints["bfloat16"], dtype=dtype, device="cpu")
    run = trained(backbone, words, tmp_path)
    assert backbone.dtype == getattr(torch, dtype)
    assert run.prompt.producer is not None
    assert all(bool(torch.isfinite(p).all()) and p.dtype == torch.float32 for p in run.prompt.producer.parameters())
