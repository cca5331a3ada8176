"""A run's metrics, its readouts, and that training changes the prompt alone and for the better."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import softprompt as sp
from softprompt.backbones.fingerprint import fingerprint
from softprompt.errors import SoftPromptError
from softprompt.training.run import open_run

from ..shared.models import model, tokenizer
from ..shared.outside import stories
from ..shared.prompts import METHODS, every_family, every_method
from ..shared.runs import run, task

KEYS = {
    "task", "method", "backbone", "seed", "metric", "test", "validation", "trained_parameters", "stored_parameters",
    "train_seconds", "rows_per_second", "peak_memory_bytes", "versions", "options",
}  # fmt: skip


@every_method
@every_family
def test_every_method_runs_on_every_family(method: str, family: str, tmp_path: Path) -> None:
    before = fingerprint(model(family))
    done = run(tmp_path, family, METHODS[method], max_steps=2, evaluations=1)
    assert done.metrics.keys() >= KEYS
    assert done.metrics["test"]["rows"] == 4
    assert 0 <= done.metrics["test"]["interval"][0] <= done.metrics["test"]["accuracy"] <= 1
    assert fingerprint(model(family)) == before
    assert done.prompt.stored_parameters == done.metrics["stored_parameters"]
    assert set(done.predict(["w20 w41 w42", "w30 w50"])) <= {"0", "1"}


READ = [("llama", "text"), ("bert", "mask"), ("bert", "head"), ("t5", "text")]
OFTEN = {*(("capt", *read) for read in READ), ("prompt_tuning", *READ[0]), ("p_tuning_v2", *READ[1])}


@pytest.mark.parametrize(
    ("method", "family", "readout"),
    [
        pytest.param(method, *read, marks=() if (method, *read) in OFTEN else pytest.mark.slow)
        for method in ("capt", "prompt_tuning", "p_tuning_v2")
        for read in READ
    ],
)
def test_training_learns_the_training_rows(method: str, family: str, readout: str, tmp_path: Path) -> None:
    done = run(
        tmp_path, family, METHODS[method], readout=readout, max_steps=60, batch_size=16, evaluations=4, patience=99,
        learning_rate=0.05, loss="labels", optimizer="adamw", schedule="linear",
    )  # fmt: skip
    losses = [point["train_loss"] for point in done.metrics["history"][1:]]
    # The answers of a random T5 depend little on its encoder, where the prompt is.
    assert losses[-1] < (0.95 if family == "t5" else 0.8) * losses[0]


GLAD = ("got a big gift", "ate a nice cake", "hugged a mom", "won the fun game", "found a new friend", "saw a rainbow")
SAD = (
    "fell and got hurt",
    "lost a best toy",
    "broke the red cup",
    "was all alone",
    "could not find mom",
    "was very sick",
)
NAMES = (
    *("Lily", "Sue", "Mia", "Anna", "Jane", "Amy", "Tom", "Tim", "Ben", "Max", "Sam", "Jack"),
    *("Sara", "Lucy", "Emma", "Bob", "Mom", "Daisy"),
)


@pytest.fixture(scope="module")
def feelings(tmp_path_factory: pytest.TempPathFactory) -> sp.Task:
    """Glad and sad little stories; names of the test rows are in no training row."""
    folder = tmp_path_factory.mktemp("feelings")
    splits = {"train": NAMES[:12], "validation": NAMES[12:14], "test": NAMES[14:]}
    for split, names in splits.items():
        lines = [
            json.dumps({"text": f"One day, {name} {what}. {name} felt", "label": str(label)})
            for name in names
            for label, whats in enumerate((SAD, GLAD))
            for what in whats
        ]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return sp.Task(name="feelings", template="{text} {mask}", labels={"0": "sad", "1": "happy"}).with_data(folder)


@pytest.mark.no_cover  # lines that the runs above count
@pytest.mark.parametrize(
    ("method", "rate", "floor"),
    [
        ("capt", 0.3, 0.8),
        ("deep_prompt", 0.3, 0.75),
        pytest.param("prompt_tuning", 0.1, 0.6, marks=pytest.mark.slow),
        pytest.param("p_tuning_v2", 0.1, 0.9, marks=pytest.mark.slow),
    ],
)
def test_a_trained_llama_really_learns(
    method: str, rate: float, floor: float, feelings: sp.Task, tmp_path: Path
) -> None:
    """On unseen rows, half of which the untrained model answers right: it always says the same."""
    backbone, words = sp.load_backbone(str(stories()))
    untrained = sp.train(backbone, words, feelings, "hard_prompt", output=tmp_path / "hard", progress=False)
    done = sp.train(
        backbone, words, feelings, method, output=tmp_path / "soft", progress=False,
        learning_rate=rate, epochs=15, batch_size=8, patience=99,
    )  # fmt: skip
    assert untrained.metrics["test"]["accuracy"] == 0.5
    assert done.metrics["test"]["accuracy"] >= floor
    assert done.metrics["test"]["loss"] < 0.9 * untrained.metrics["test"]["loss"]
    assert done.metrics["stored_bytes"] < 100_000


def test_only_the_prompt_is_trained_and_the_model_is_given_back(tmp_path: Path) -> None:
    backbone = model("llama")
    flags = [p.requires_grad for p in backbone.parameters()]
    bytes_before = [p.detach().clone() for p in backbone.parameters()]
    run(tmp_path, "llama", METHODS["full_finetuning"])
    assert [p.requires_grad for p in backbone.parameters()] == flags
    assert all(torch.equal(a, b) for a, b in zip(bytes_before, backbone.parameters(), strict=True))


def test_a_run_opens_again_and_answers_the_same(tmp_path: Path) -> None:
    done = run(tmp_path, "gpt2", METHODS["prompt_tuning"])
    again = open_run(tmp_path / "run", model("gpt2"), tokenizer())
    texts = ["w20 w41", "w30 w41 w42 w43", "w60"]
    first, second = done.prompt.outcomes(texts), again.prompt.outcomes(texts)
    assert [o.probabilities for o in first] == [o.probabilities for o in second]
    assert again.metrics == done.metrics


@pytest.mark.parametrize("readout", ["text", "mask"])
def test_batches_answer_as_single_rows(readout: str, tmp_path: Path) -> None:
    family = "bert" if readout == "mask" else "qwen3"
    done = run(tmp_path, family, METHODS["capt"], max_steps=2, readout=readout)
    texts = ["w20 w41", "w30 w41 w42 w43 w44 w45", "w60 w61 w62"]
    together = done.prompt.outcomes(texts)
    for text, outcome in zip(texts, together, strict=True):
        alone = done.prompt.outcomes([text])[0]
        assert alone.probabilities == pytest.approx(outcome.probabilities, abs=1e-5)


def test_gradient_checkpointing_trains_to_the_same_prompt(tmp_path: Path) -> None:
    """Up to rounding: with checkpoints the last feed-forward runs at every column."""
    run(tmp_path / "a", "llama", METHODS["capt"])
    run(tmp_path / "b", "llama", METHODS["capt"], gradient_checkpointing=True)
    one, other = (load_file(tmp_path / name / "run" / "prompt" / "prompt.safetensors") for name in "ab")
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], atol=1e-4, rtol=1e-4)


def test_truncated_rows_are_counted_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, "llama", METHODS["capt"], max_steps=1, max_length=8, progress=True)
    assert "were cut to fit max_length" in capsys.readouterr().err


def test_a_label_without_training_rows_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from softprompt.tasks import Task

    three = Task(template="{text} {mask}", labels={"0": "w10", "1": "w11", "2": "w12"})
    task(tmp_path / "data")
    loaded = three.with_data(tmp_path / "data" / "rows.jsonl")
    sp.train(model("llama"), tokenizer(), loaded, METHODS["capt"], output=tmp_path / "run", max_steps=1)
    told = capsys.readouterr().err
    assert "warning: no training row has the label '2', which cannot be learned so" in told
    assert "fewer than" not in told


def test_the_template_can_place_the_virtual_tokens(tmp_path: Path) -> None:
    from softprompt.tasks import Task

    places = Task(template="{prompt:1} {text} {prompt:3} {mask}", labels={"0": "w10", "1": "w11"})
    task(tmp_path / "data")
    loaded = places.with_data(tmp_path / "data" / "rows.jsonl", seed=1)
    done = sp.train(
        model("llama"),
        tokenizer(),
        loaded,
        METHODS["prompt_tuning"],
        output=tmp_path / "run",
        max_steps=2,
        progress=False,
    )
    answers = done.prompt.outcomes(["w20 w41", "w30 w41 w42 w43"])
    single = [done.prompt.outcomes([text])[0] for text in ("w20 w41", "w30 w41 w42 w43")]
    for one, other in zip(answers, single, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)
    wrong = Task(template="{prompt:7} {text} {mask}", labels={"0": "w10", "1": "w11"})
    with pytest.raises(SoftPromptError, match="add up"):
        sp.train(
            model("llama"), tokenizer(), wrong.with_data(tmp_path / "data" / "rows.jsonl"), METHODS["prompt_tuning"],
            output=tmp_path / "other", progress=False,
        )  # fmt: skip
