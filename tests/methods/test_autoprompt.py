"""AutoPrompt: triggers are plain words, the ranking is the gradient's, the search gives text that any tool can use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from softprompt.attached.attach import attach, build
from softprompt.errors import SoftPromptError
from softprompt.methods import AutoPrompt
from softprompt.methods.autoprompt import Triggers
from softprompt.methods.parts.vocabulary import is_text
from softprompt.training.run import Interrupted, open_run

from ..shared.models import MASK, ids, model, tokenizer
from ..shared.prompts import call, close, every_family, loss_of, tiny
from ..shared.runs import Interrupting, run

EXAMPLES = {
    "autoprompt": {"method": "autoprompt", "num_virtual_tokens": 3, "rounds": 3, "candidates": 3, "search_batches": 1},
}
SEARCH = {"num_virtual_tokens": 3, "rounds": 6, "candidates": 5, "search_batches": 2}


@every_family
def test_triggers_are_their_words(family: str) -> None:
    """Logits equal those of the words prepended literally."""
    row, words = ids(6), torch.tensor([[30, 41, 52]])
    with tiny(family, AutoPrompt(init_text="w30 w41 w52")) as prompted, torch.no_grad():
        assert not list(prompted.prompts.parameters())
        mine = call(prompted, row).logits
    with tiny(family, "hard_prompt") as plain, torch.no_grad():
        theirs = call(plain, torch.cat([words, row], dim=1)).logits
    close(mine, theirs if family in ("t5", "bart") else theirs[:, 3:], 1e-5)


@every_family
def test_the_ranking_is_the_first_order_estimate_of_a_flip(family: str) -> None:
    """By hand: the loss's slope along e(w) - e(T_j), which orders the words as -e(w) . g does."""
    with tiny(family, AutoPrompt(init_text="w30 w41 w52")) as prompted:
        triggers: Any = prompted.prompts[0]
        rows = triggers.rows.requires_grad_(True)
        (gradient,) = torch.autograd.grad(loss_of(prompted, ids(6)), [rows])
        table = prompted.anatomy.embedding(torch.arange(100))
        slopes = []
        for word in range(100):
            scale = torch.zeros((), requires_grad=True)
            moved = rows.detach().clone()
            step = torch.zeros_like(moved)
            step[1] = table[word] - moved[1]
            triggers.rows = moved + scale * step
            (slope,) = torch.autograd.grad(loss_of(prompted, ids(6)), [scale])
            slopes.append(float(slope))
        expected = torch.tensor(slopes).argsort().tolist()
        found = triggers.flips(gradient[1], 10)
        values = torch.tensor(slopes)
        close(values[found], values[expected[:10]], 1e-4)


def test_first_triggers() -> None:
    assert build(model("bert"), tokenizer(), AutoPrompt()).ids == (MASK,) * 3
    drawn = [build(model(family), tokenizer(), AutoPrompt(), seed=2).ids for family in ("llama", "gpt2", "t5")]
    assert drawn[0] == drawn[1] == drawn[2]
    assert is_text(drawn[0], tokenizer())
    assert min(drawn[0]) > 4
    with pytest.raises(SoftPromptError, match="2 tokens and there are 3"):
        build(model("llama"), tokenizer(), AutoPrompt(init_text="w30 w41"))


@pytest.mark.parametrize("family", ["bert", "llama", "gpt2", "gemma3", "t5"])
def test_the_found_prompt_is_plain_text(family: str, tmp_path: Path) -> None:
    """The template in metrics.json, used as a hard prompt, gives the very same answers."""
    done = run(tmp_path, family, AutoPrompt(**SEARCH), data=tmp_path / "data")
    trigger = done.metrics["trigger"]
    assert tokenizer()(trigger["text"])["input_ids"] == trigger["ids"]
    assert not set(trigger["ids"]) & {0, 1, 2, 3, 4, 10, 11}
    assert json.loads((tmp_path / "run" / "prompt" / "prompt.json").read_text())["trigger"] == trigger
    assert done.metrics["stored_parameters"] == 3
    assert done.metrics["trained_parameters"] == 0
    from softprompt.tasks import Task
    from softprompt.training.run import train

    plain = Task(template=trigger["template"], labels={"0": "w10", "1": "w11"})
    loaded = plain.with_data(tmp_path / "data" / "rows.jsonl", seed=1)
    hard = train(model(family), tokenizer(), loaded, "hard_prompt", output=tmp_path / "hard", seed=3, progress=False)
    texts = ["w20 w41", "w30 w41 w42 w43"]
    again = open_run(tmp_path / "run", model(family), tokenizer())
    for one, other, third in zip(
        done.prompt.outcomes(texts), hard.prompt.outcomes(texts), again.prompt.outcomes(texts), strict=True
    ):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)
        assert one.probabilities == third.probabilities
    assert done.metrics["test"]["accuracy"] == hard.metrics["test"]["accuracy"]


def test_the_search_makes_the_training_loss_smaller_and_keeps_the_best(tmp_path: Path) -> None:
    done = run(tmp_path, "bert", AutoPrompt(**{**SEARCH, "rounds": 12}))
    history = done.metrics["history"]
    assert len(history) > 1
    assert history[0]["step"] == 0
    best = max(history, key=lambda one: (one["accuracy"], -one["loss"]))
    assert done.metrics["validation"]["loss"] == pytest.approx(best["loss"], rel=1e-5)
    assert best["trigger"] == done.metrics["trigger"]["text"]


class InterruptingSearch(Interrupting):
    """Progress that sends SIGINT at a round of the search."""

    watched = "search"


def test_a_search_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    straight = run(tmp_path / "a", "llama", AutoPrompt(**SEARCH, label_tokens=2))
    with pytest.raises(Interrupted, match="resume"):
        run(tmp_path / "b", "llama", AutoPrompt(**SEARCH, label_tokens=2), progress=InterruptingSearch(3))
    resumed = run(tmp_path / "b", "llama", AutoPrompt(**SEARCH, label_tokens=2), resume=True)
    prompt = Path("run") / "prompt" / "prompt.safetensors"
    assert (tmp_path / "a" / prompt).read_bytes() == (tmp_path / "b" / prompt).read_bytes()
    assert straight.metrics["history"] == resumed.metrics["history"]
    assert straight.metrics["trigger"] == resumed.metrics["trigger"]


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_label_tokens_are_searched_stored_and_summed(family: str, tmp_path: Path) -> None:
    done = run(tmp_path, family, AutoPrompt(**SEARCH, label_tokens=3))
    words = done.metrics["label_tokens"]
    assert set(words) == {"0", "1"}
    assert all(len(found) == 3 for found in words.values())
    assert not {word for found in words.values() for word in found} & set(done.metrics["trigger"]["text"].split())
    again = open_run(tmp_path / "run", model(family), tokenizer())
    readout: Any = again.prompt.readout
    sets = [[int(word[1:]) for word in found] for found in words.values()]
    assert readout.label_tokens.tolist() == sets
    text = ["w20 w41"]
    item = readout.encode(again.prompt.task.rows_of(text)[0])
    with again.prompt.attach() as prompted, torch.no_grad():
        logits = readout.outputs(prompted, readout.collate([item]))[0]
    mass = torch.stack([logits.softmax(-1)[one].sum() for one in sets])
    assert again.prompt.outcomes(text)[0].probabilities == pytest.approx((mass / mass.sum()).tolist(), abs=1e-5)


def test_label_tokens_need_one_place_to_be_read(tmp_path: Path) -> None:
    with pytest.raises(SoftPromptError, match="leave label_tokens out"):
        run(tmp_path, "t5", AutoPrompt(**SEARCH, label_tokens=2))


def test_no_head_beside_triggers(tmp_path: Path) -> None:
    with pytest.raises(SoftPromptError, match="trains nothing"):
        run(tmp_path, "llama", AutoPrompt(), readout="head")


def test_published_size() -> None:
    """k token ids, no weight (METHODS: 13.1)."""
    with attach(model("llama"), tokenizer(), AutoPrompt(num_virtual_tokens=5)) as prompted:
        own = prompted.prompts[0]
        assert isinstance(own, Triggers)
        assert own.stored()["ids"].shape == (5,)
        assert sum(p.numel() for p in prompted.prompts.parameters()) == 0
