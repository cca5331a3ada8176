"""What an attached model writes is its prompt, and the prompt comes back."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import Trainer, TrainingArguments

import softprompt as sp
from softprompt.attached import saving
from softprompt.attached.saving import Saving
from softprompt.errors import SoftPromptError

from ..shared.members import few, member
from ..shared.models import model, tokenizer
from ..shared.prompts import producer

IDS = torch.tensor([[1, 9, 10, 11]])
SHORT = sp.PromptTuning(num_virtual_tokens=3)


def moved(prompted: Any) -> torch.Tensor:
    """Logits of a prompt whose vectors are no more those that it was made with."""
    with torch.no_grad():
        for parameter in prompted.prompts.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(5)))
    return logits(prompted)


def logits(prompted: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = prompted(input_ids=IDS).logits
    return found


@pytest.mark.parametrize("method", [SHORT, sp.CaPT(), sp.PTuningV2(num_virtual_tokens=2)])
def test_a_prompt_comes_back(method: Any, tmp_path: Path) -> None:
    with sp.attach(model("llama"), tokenizer(), method) as prompted:
        expected = moved(prompted)
        prompted.save_pretrained(tmp_path / "mine")
        prompted.save_pretrained(str(tmp_path / "mine"))  # again, over itself
    assert sum(path.stat().st_size for path in (tmp_path / "mine").iterdir()) < 40_000
    loaded = sp.load(tmp_path / "mine", model("llama"), tokenizer())
    assert loaded.method == method
    with loaded.attach() as prompted:
        assert torch.equal(logits(prompted), expected)


def test_several_prompts_go_to_folders_of_their_names(tmp_path: Path) -> None:
    with sp.attach(model("llama"), tokenizer(), {"one": SHORT, "two": sp.CaPT()}) as prompted:
        prompted.save_pretrained(tmp_path / "both")
        prompted.remove("one")
        prompted.save_pretrained(tmp_path / "last")
    for folder, name in (("both/one", "prompt_tuning"), ("both/two", "capt"), ("last", "capt")):
        assert sp.load(tmp_path / folder, model("llama"), tokenizer()).method.name == name


def test_a_loaded_prompt_keeps_its_task_and_what_was_measured_until_it_is_trained(tmp_path: Path) -> None:
    task, rows = few(tmp_path)
    own = member(task, "llama", SHORT, 3)
    own.meta["metrics"] = {"accuracy": 0.5, "interval": [0.1, 0.9], "rows": 7}
    sp.save(own, tmp_path / "first")
    own = sp.load(tmp_path / "first", model("llama"), tokenizer())
    texts = [dict(row.fields) for row in rows]
    with own.attach() as prompted:
        prompted.save_pretrained(tmp_path / "same")
        other = copy.deepcopy(prompted)
        prompted.train()
        prompted.save_pretrained(tmp_path / "trained")
        expected = moved(other)
        other.save_pretrained(tmp_path / "copy")
    same, trained = (sp.load(tmp_path / name, model("llama"), tokenizer()) for name in ("same", "trained"))
    assert same.predict(texts) == trained.predict(texts) == own.predict(texts)
    assert same.meta["metrics"] == own.meta["metrics"]
    assert "metrics" not in trained.meta or not trained.meta["metrics"]
    with sp.load(tmp_path / "copy", model("llama"), tokenizer()).attach() as prompted:
        assert torch.equal(logits(prompted), expected)


def test_what_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with sp.attach(model("llama"), tokenizer(), {"a/b": SHORT, "two": SHORT}) as prompted:
        with pytest.raises(SoftPromptError, match="'a/b' has no name of a folder"):
            prompted.save_pretrained(tmp_path / "new")
        prompted.remove("a/b")
        with pytest.raises(SoftPromptError, match=r"full holds something else \('notes.txt'\): choose a new folder"):
            prompted.save_pretrained(tmp_path / "full")
        prompted.remove("two")
        with pytest.raises(SoftPromptError, match="no prompt is attached"):
            prompted.save_pretrained(tmp_path / "new")
        prompted.add("bare", producer(model("llama"), SHORT, 3))
        with pytest.raises(SoftPromptError, match="attached as a .*, whose method is not known: attach a method"):
            prompted.save_pretrained(tmp_path / "new")
        monkeypatch.setattr(Saving, "_write", None)
        with pytest.raises(SoftPromptError, match=r"use softprompt\.attach"):
            prompted.save_pretrained(tmp_path / "new")
    assert {path.name for path in tmp_path.iterdir()} == {"full"}


class Hub:
    """A stand-in for the hub: a folder of this machine."""

    place = Path()
    asked: dict[str, Any] = {}

    def __init__(self, token: str | None = None) -> None:
        self.asked["token"] = token

    def create_repo(self, repo_id: str, *, private: bool | None, exist_ok: bool) -> Any:
        if repo_id == "refused":
            raise OSError("401 Client Error: you are not logged in\nand more")
        self.asked.update(repo_id=repo_id, private=private)
        return type("Url", (str,), {"repo_id": f"me/{repo_id}"})(f"https://hub/me/{repo_id}")

    def upload_folder(self, *, repo_id: str, folder_path: Path, commit_message: str | None) -> None:
        self.asked.update(uploaded=repo_id, commit_message=commit_message)
        folder_path.rename(self.place)


def test_push_to_hub_uploads_what_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "HfApi", Hub)
    monkeypatch.setattr(saving, "TemporaryDirectory", lambda: _Kept(tmp_path / "here"))
    Hub.place = tmp_path / "hub"
    with sp.attach(model("llama"), tokenizer(), SHORT) as prompted:
        expected = moved(prompted)
        assert prompted.push_to_hub("mine", private=True, token="t", commit_message="first") == "https://hub/me/mine"
        with pytest.raises(SoftPromptError) as error:
            prompted.push_to_hub("refused")
    assert str(error.value) == "push_to_hub 'refused': the hub says: 401 Client Error: you are not logged in"
    wanted = {"repo_id": "mine", "private": True, "uploaded": "me/mine", "commit_message": "first"}
    assert wanted.items() <= Hub.asked.items()
    with sp.load(Hub.place, model("llama"), tokenizer()).attach() as prompted:
        assert torch.equal(logits(prompted), expected)


class _Kept:
    """A temporary folder on the same disk as the stand-in."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __enter__(self) -> str:
        return str(self.place)

    def __exit__(self, *_: object) -> None:
        pass


class Outer(nn.Module):
    """A user's own module around an attached model."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner, self.own = inner, nn.Linear(2, 2)


def test_a_state_dict_holds_the_prompt_alone_and_comes_back_inside_another_module_too() -> None:
    with sp.attach(model("llama"), tokenizer(), SHORT) as one, sp.attach(model("llama"), tokenizer(), SHORT) as other:
        expected = moved(one)
        state = one.state_dict()
        assert sum(tensor.numel() for tensor in state.values()) == 3 * 32
        other.load_state_dict(state)
        assert torch.equal(logits(other), expected)
    with sp.attach(model("llama"), tokenizer(), SHORT) as one, sp.attach(model("llama"), tokenizer(), SHORT) as other:
        expected, outer = moved(one), Outer(other)
        assert {key.split(".")[0] for key in outer.state_dict()} == {"inner", "own"}
        outer.load_state_dict(Outer(one).state_dict())
        assert torch.equal(logits(other), expected)
        with pytest.raises(RuntimeError, match=r"Missing key\(s\).*inner\.prompts"):
            outer.load_state_dict(nn.ModuleDict({"own": outer.own}).state_dict())


def test_what_trainer_saves_comes_back(tmp_path: Path) -> None:
    with sp.attach(model("llama"), tokenizer(), SHORT) as prompted:
        expected = moved(prompted)
        trainer = Trainer(model=prompted, args=TrainingArguments(str(tmp_path / "out"), report_to=[]))
        trainer.save_model(str(tmp_path / "saved"))
    with sp.attach(model("llama"), tokenizer(), SHORT) as prompted:
        prompted.load_state_dict(load_file(tmp_path / "saved" / "model.safetensors"))
        assert torch.equal(logits(prompted), expected)
    (tmp_path / "run").mkdir()
    (tmp_path / "saved").rename(tmp_path / "run" / "checkpoint-3")
    for folder in ("run", "run/checkpoint-3"):
        with pytest.raises(SoftPromptError, match=r"checkpoint-3: what a Trainer saved .* prompted\.save_pretrained"):
            sp.load(tmp_path / folder, model("llama"), tokenizer())


def test_a_process_that_has_a_stored_prompt_alone_can_save_what_it_is_attached_to() -> None:
    """`sp.attach` was never asked for there, and nothing else brought the writer along."""
    code = "import softprompt as sp; sp.load; from softprompt.attached.saving import Saving; assert Saving._write"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_it_saves_as_accelerate_and_others_ask_a_model_to(tmp_path: Path) -> None:
    with sp.attach(model("llama"), tokenizer(), SHORT) as prompted:
        state = {name: value + 1 for name, value in prompted.state_dict().items()}
        before = logits(prompted)
        prompted.save_pretrained(tmp_path / "no", is_main_process=False)
        prompted.save_pretrained(tmp_path / "own", safe_serialization=True, save_function=torch.save)
        prompted.save_pretrained(tmp_path / "given", True, state_dict=state)
        assert torch.equal(logits(prompted), before)
        with pytest.raises(SoftPromptError, match=r"has no option 'push_to_hub': call prompted\.push_to_hub"):
            prompted.save_pretrained(tmp_path / "no", push_to_hub=True)
        with pytest.raises(SoftPromptError, match="state_dict is not this prompt's: .*size mismatch"):
            prompted.save_pretrained(tmp_path / "no", state_dict={"prompts.0.table": torch.zeros(2, 2)})
        assert torch.equal(logits(prompted), before)
        prompted.load_state_dict(state)
        other = logits(prompted)
    assert not (tmp_path / "no").exists()
    for name, expected in (("own", before), ("given", other)):
        with sp.load(tmp_path / name, model("llama"), tokenizer()).attach() as prompted:
            assert torch.equal(logits(prompted), expected)


def test_a_prompt_counts_its_own_parameters_and_names_of_peft_tell_what_does_it_here() -> None:
    with sp.attach(model("llama"), tokenizer(), SHORT) as prompted:
        assert prompted.num_parameters(only_trainable=True) == 3 * 32
        assert prompted.num_parameters() == model("llama").num_parameters() + 3 * 32
        with pytest.raises(AttributeError, match="num_parameters"):
            prompted.print_trainable_parameters()
        assert not hasattr(prompted, "disable_adapter")
