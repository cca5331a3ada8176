"""LM adaptation: the objective, the stream of examples, bit-identical resume, and what is left behind."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from softprompt.backbones.load import load_backbone
from softprompt.errors import SoftPromptError
from softprompt.training.adaptation.run import adapt
from softprompt.training.courses.work import Interrupted

from ...shared.adaptation import AdaptInterrupting, folder_of, run, weights
from ...shared.models import model, tokenizer


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of("t5", tmp_path_factory.mktemp("t5"))


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_adapting_learns_and_writes_a_model_that_loads(family: str, tmp_path: Path) -> None:
    source = folder_of(family, tmp_path / "source")
    before = {path.name: path.read_bytes() for path in source.iterdir()}
    done = run(source, tmp_path / "run", steps=60, batch_size=8, learning_rate=0.01)
    history = done.metrics["history"]
    assert history[-1]["step"] == 60
    assert history[-1]["loss"] < history[0]["loss"]
    assert {path.name: path.read_bytes() for path in source.iterdir()} == before
    adapted, words = load_backbone(done.model)
    assert words("w20 w21")["input_ids"] == tokenizer()("w20 w21")["input_ids"]
    changed = [
        name
        for name, weight in adapted.state_dict().items()
        if not torch.equal(weight, model(family).state_dict()[name])
    ]
    assert any("encoder" in name for name in changed)
    assert any("decoder" in name for name in changed)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["metrics.json", "model", "run.json"]


def test_stopped_and_resumed_gives_the_same_bytes(t5: Path, tmp_path: Path) -> None:
    straight = run(t5, tmp_path / "a")
    for step in (3, 5):
        with pytest.raises(Interrupted, match="resume"):
            run(t5, tmp_path / "b", resume=True, progress=AdaptInterrupting(step))
        assert not (tmp_path / "b" / "metrics.json").exists()
        assert not (tmp_path / "b" / "model").exists()
    resumed = run(t5, tmp_path / "b", resume=True)
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    assert [point["loss"] for point in straight.metrics["history"]] == [
        point["loss"] for point in resumed.metrics["history"]
    ]
    assert run(t5, tmp_path / "b", resume=True).metrics == resumed.metrics
    assert weights(run(t5, tmp_path / "c", accumulate=2).folder) != weights(tmp_path / "a")


def test_no_pickle_is_written_or_read(t5: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("torch.load or torch.save was called")

    monkeypatch.setattr(torch, "load", refuse)
    monkeypatch.setattr(torch, "save", refuse)
    with pytest.raises(Interrupted):
        run(t5, tmp_path / "run", progress=AdaptInterrupting(3))
    assert {path.suffix for path in (tmp_path / "run").rglob("*") if path.is_file()} <= {".json", ".safetensors"}
    run(t5, tmp_path / "run", resume=True)


def test_what_cannot_be_adapted_is_refused_in_one_line(t5: Path, tmp_path: Path) -> None:
    with pytest.raises(SoftPromptError, match="no encoder-decoder"):
        run(folder_of("llama", tmp_path / "llama"), tmp_path / "run")
    with pytest.raises(SoftPromptError, match="is no encoder-decoder but an encoder, which writes no text"):
        run(folder_of("bert", tmp_path / "bert"), tmp_path / "run")
    with pytest.raises(SoftPromptError, match="two tokens"):
        adapt(str(t5), ["w20", ""], output=tmp_path / "run", progress=False)
    for texts in ("w20 w21", ["w20 w21", None], None):
        with pytest.raises(SoftPromptError, match="adapt: .* stands where texts belong: give a list of them"):
            adapt(str(t5), texts, output=tmp_path / "run", progress=False)  # type: ignore[arg-type]
    with pytest.raises(SoftPromptError, match="steps"):
        run(t5, tmp_path / "run", steps=0)
    assert not (tmp_path / "run").exists()
    run(t5, tmp_path / "run", steps=1)
    with pytest.raises(SoftPromptError, match="holds a run already"):
        run(t5, tmp_path / "run", steps=1)
    with pytest.raises(SoftPromptError, match="another options"):
        run(t5, tmp_path / "run", steps=2, resume=True)
