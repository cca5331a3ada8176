"""XPrompt: what is pruned and stored, the rewinding, and the resume."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from softprompt.methods import XPrompt
from softprompt.training.run import Interrupted, Run, open_run

from ...shared.models import model, tokenizer
from ...shared.runs import PROMPT, Interrupting, run

XPROMPT = {"num_virtual_tokens": 8, "pieces": 4, "token_rates": (0.25, 0.5), "piece_rates": (0.25, 0.75)}


@pytest.mark.parametrize(("family", "readout"), [("llama", "text"), ("bert", "mask"), ("bert", "head"), ("t5", "text")])
def test_xprompt_stores_the_pruned_prompt(family: str, readout: str, tmp_path: Path) -> None:
    done = run(tmp_path, family, XPrompt(**XPROMPT), readout=readout)
    pruned = done.metrics["pruned"]
    table = done.prompt.producer.stored()["table"]
    count, width = len(pruned["tokens_kept"]), table.shape[1]
    assert table.shape[0] == count == {0.25: 6, 0.5: 4}[pruned["token_rate"]]
    assert sorted([*pruned["tokens_kept"], *pruned["tokens_pruned"]]) == list(range(8))
    importance = pruned["token_importance"]
    assert min(importance[i] for i in pruned["tokens_kept"]) >= max(importance[i] for i in pruned["tokens_pruned"])
    assert pruned["pieces_pruned"] == round(pruned["piece_rate"] * count * 4)
    assert int((table != 0).sum()) == pruned["kept_parameters"] == pruned["pieces_kept"] * width // 4
    assert done.metrics["trained_parameters"] - done.metrics["trained_head_parameters"] == 8 * width
    tried = pruned["tried"]
    assert [one["stage"] for one in tried] == ["tokens-0.25", "tokens-0.5", "pieces-0.25", "pieces-0.75"]
    best = max(tried[2:], key=lambda one: (one["accuracy"], -one["loss"]))
    assert done.metrics["validation"]["loss"] == pytest.approx(best["loss"], rel=1e-4)
    stored = json.loads((tmp_path / "run" / "prompt" / "prompt.json").read_text())
    assert stored["options"]["kept"] == pruned["tokens_kept"]
    assert stored["pruned"] == pruned
    again = open_run(tmp_path / "run", model(family), tokenizer())
    texts = ["w20 w41", "w30 w41 w42 w43"]
    assert again.prompt.producer.count == count
    for one, other in zip(done.prompt.outcomes(texts), again.prompt.outcomes(texts), strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-6)


def test_xprompt_rewinds_to_the_tuned_values(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every rewinding starts from the rows of the tuned table, its pruned pieces zero; its readout as tuned."""
    from softprompt.training.fitting.trainer import SoftPromptTrainer

    starts: list[dict[str, torch.Tensor]] = []
    begin = SoftPromptTrainer.train

    def spy(self: Any, *args: Any, **kwargs: Any) -> Any:
        own = self.trained.prompted.prompts[0]
        starts.append({"table": own.embed(None).detach().clone(), "head": self.trained.readout.linear.weight.clone()})
        return begin(self, *args, **kwargs)

    monkeypatch.setattr(SoftPromptTrainer, "train", spy)
    done = run(tmp_path, "bert", XPrompt(**XPROMPT), readout="head")
    tuned = torch.from_numpy(_best(tmp_path / "run" / "state" / "tune", "prompted.prompts.0.table"))
    head = torch.from_numpy(_best(tmp_path / "run" / "state" / "tune", "readout.linear.weight"))
    importance = torch.tensor(done.metrics["pruned"]["token_importance"])
    order = importance.argsort(descending=True)
    for start, count in zip(starts[1:3], (6, 4), strict=True):
        assert torch.equal(start["table"], tuned[order[:count].sort().values])
    kept = tuned[done.metrics["pruned"]["tokens_kept"]]
    for start in starts[3:]:
        left = start["table"] != 0
        assert torch.equal(start["table"][left], kept[left])
        assert int((~left).sum()) > 0
    assert all(torch.equal(start["head"], head) for start in starts[1:])
    assert head.any()


def _best(stage: Path, name: str) -> Any:
    from safetensors.numpy import load_file

    return load_file(next(stage.glob("checkpoint-*")) / "best.safetensors")[name]


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of XPrompt that nothing stops."""
    return run(tmp_path_factory.mktemp("straight"), "llama", XPrompt(**XPROMPT))


@pytest.mark.parametrize("at", [3, 14, 27, 44])
def test_xprompt_resumes_to_the_same_bytes(at: int, straight: Run, tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match="resume"):
        run(tmp_path, "llama", XPrompt(**XPROMPT), progress=Interrupting(at))
    resumed = run(tmp_path, "llama", XPrompt(**XPROMPT), resume=True)
    assert (straight.folder.parent / PROMPT).read_bytes() == (tmp_path / PROMPT).read_bytes()
    assert straight.metrics["pruned"] == resumed.metrics["pruned"]
    assert straight.metrics["history"] == resumed.metrics["history"]


def test_one_rate_needs_no_choice(tmp_path: Path) -> None:
    done = run(tmp_path, "llama", XPrompt(num_virtual_tokens=4, pieces=4, token_rates=(0.5,), piece_rates=(0.0,)))
    assert [one["stage"] for one in done.metrics["pruned"]["tried"]] == ["pieces-0"]
    assert done.metrics["pruned"]["pieces_pruned"] == 0
    assert done.metrics["stored_parameters"] == 2 * 32
