"""Models kept along an adaptation: each is the one that an adaptation of so many steps ends with, and a backbone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from softprompt.backbones.load import load_backbone
from softprompt.errors import Interrupted, SoftPromptError
from softprompt.files.manifest import check_files, named
from softprompt.training.adaptation import run as running

from ...shared.adaptation import AdaptInterrupting, folder_of, run, weights
from ...shared.models import model, tokenizer

MODEL = "model.safetensors"


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of("t5", tmp_path_factory.mktemp("t5"))


def test_a_model_kept_at_a_step_is_that_of_so_many_steps(t5: Path, tmp_path: Path) -> None:
    straight = run(t5, tmp_path / "a")
    done = run(t5, tmp_path / "b", keep_at=(10, 0, 3, 3))
    out = tmp_path / "b"
    assert done.models == {0: out / "kept" / "step-0", 3: out / "kept" / "step-3", 10: out / "model"}
    assert weights(out) == weights(straight.folder)
    shorter = run(t5, tmp_path / "c", steps=3)
    assert (done.models[3] / MODEL).read_bytes() == weights(shorter.folder)
    before, kept = load_file(t5 / MODEL), load_file(done.models[0] / MODEL)
    assert before.keys() == kept.keys()
    assert all(torch.equal(before[name], kept[name]) for name in before)
    for folder in done.models.values():
        backbone, words = load_backbone(folder)
        assert words("w20 w21")["input_ids"] == tokenizer()("w20 w21")["input_ids"]
        assert not any(weight.isnan().any() for weight in backbone.state_dict().values())
    # The curve: every kept step was measured, and no other step was left out for it.
    steps = [point["step"] for point in done.metrics["history"]]
    assert steps == [0, 3, 5, 10]
    loss = {point["step"]: point["loss"] for point in straight.metrics["history"]}
    assert {point["step"]: point["loss"] for point in done.metrics["history"]} == {
        **loss, 3: shorter.metrics["history"][-1]["loss"],
    }  # fmt: skip


def test_stopped_and_resumed_keeps_the_same_models(t5: Path, tmp_path: Path) -> None:
    straight = run(t5, tmp_path / "a", keep_at=(0, 4, 7))
    stopped: dict[str, Any] = {"keep_at": (0, 4, 7), "resume": True}
    for step, kept in ((2, ["step-0"]), (5, ["step-0", "step-4"])):
        with pytest.raises(Interrupted):
            run(t5, tmp_path / "b", progress=AdaptInterrupting(step), **stopped)
        assert sorted(path.name for path in (tmp_path / "b" / "kept").iterdir()) == kept
    resumed = run(t5, tmp_path / "b", **stopped)
    for step, folder in straight.models.items():
        assert (folder / MODEL).read_bytes() == (resumed.models[step] / MODEL).read_bytes()
        check_files(resumed.models[step], named(resumed.models[step]))
    again = run(t5, tmp_path / "b", **stopped)
    assert (again.models, again.metrics) == (resumed.models, resumed.metrics)
    (again.models[4] / MODEL).unlink()
    with pytest.raises(SoftPromptError, match=r"step-4/model.safetensors: cannot be read"):
        run(t5, tmp_path / "b", **stopped)


def test_a_model_is_there_whole_or_not_at_all(t5: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(type(tokenizer()), "save_pretrained", full)
        with pytest.raises(SoftPromptError, match=r"step-3: cannot be written \(No space left on device\)"):
            run(t5, tmp_path / "run", keep_at=(3,))
    assert list((tmp_path / "run" / "kept").iterdir()) == []
    assert (run(t5, tmp_path / "run", keep_at=(3,), resume=True).models[3] / MODEL).is_file()


def test_an_adaptation_begun_without_kept_models_goes_on(t5: Path, tmp_path: Path) -> None:
    """As earlier versions recorded it: no word of `keep_at`."""
    with pytest.raises(Interrupted):
        run(t5, tmp_path / "run", progress=AdaptInterrupting(3))
    assert "keep_at" not in json.loads((tmp_path / "run" / "run.json").read_text())["options"]
    with pytest.raises(SoftPromptError, match=r"another options.keep_at \(None then, \[4\] now\)"):
        run(t5, tmp_path / "run", resume=True, keep_at=(4,))
    assert not (run(t5, tmp_path / "run", resume=True).folder / "kept").exists()


def test_steps_that_cannot_be_kept_are_refused_before_anything_is_written(t5: Path, tmp_path: Path) -> None:
    with pytest.raises(SoftPromptError, match="keep_at: step 11 is beyond the 10 steps of the adaptation"):
        run(t5, tmp_path / "run", keep_at=(11,))
    with pytest.raises(SoftPromptError, match="keep_at"):
        run(t5, tmp_path / "run", keep_at=(-1,))
    assert not (tmp_path / "run").exists()


def test_a_model_that_diverged_is_not_kept(t5: Path, tmp_path: Path) -> None:
    with pytest.raises(running.Diverged):
        run(t5, tmp_path / "run", learning_rate=1e8, steps=20, keep_at=(0, 19))
    assert [path.name for path in (tmp_path / "run" / "kept").iterdir()] == ["step-0"]
    assert model("t5").config.model_type == load_backbone(tmp_path / "run" / "kept" / "step-0")[0].config.model_type
