"""A head over a passage's tokens: the likeliest span of all, or none, against every span tried one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from softprompt.errors import SoftPromptError
from softprompt.inference.predict import in_words, predict
from softprompt.methods import HeadOnly
from softprompt.readouts.cut import told_cuts
from softprompt.readouts.head import Head
from softprompt.storage.prompt import load
from softprompt.tasks import Task
from softprompt.training.options import TrainingOptions
from softprompt.training.run import train
from softprompt.training.setup import readout_spec

from ..shared.models import model, tokenizer
from ..shared.prompts import METHODS
from ..shared.readouts import ids_of, made

TASK = Task(name="squad", kind="extraction")
FAMILIES = ("bert", "llama", "t5")
PASSAGES = ["w20 w21 w22 w23", "w30 w31", "w40 w41 w42 w43 w44 w45 w46"]
ROWS = TASK.rows_of([{"question": f"w{10 + place}", "context": text} for place, text in enumerate(PASSAGES)])


def questions(count: int = 40) -> list[dict[str, object]]:
    """The answer is the word behind w9."""
    rows: list[dict[str, object]] = []
    for number in range(count):
        words = [f"w{20 + (7 * number + 3 * place) % 70}" for place in range(5)]
        words.insert(number % 5, "w9")
        answer = words[number % 5 + 1]
        rows.append({"question": "w10", "context": " ".join(words), "answers": [answer]})
    return rows


def answering(family: str, method: str, **options: Any) -> tuple[Any, Any]:
    prompted, readout = made(TASK, family, METHODS[method], **options)
    assert isinstance(readout, Head)
    torch.nn.init.normal_(readout.linear.weight, generator=torch.Generator().manual_seed(0))
    return prompted, readout


@pytest.mark.parametrize("method", ["prompt_tuning", "capt", "p_tuning_v2"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_answer_is_the_likeliest_of_all_spans(family: str, method: str) -> None:
    prompted, readout = answering(family, method, max_new_tokens=3)
    with prompted:
        whole, alone = (predict(prompted, readout, ROWS, batch_size=size) for size in (8, 1))
        with torch.no_grad():
            for row, text, found, same in zip(ROWS, PASSAGES, whole, alone, strict=True):
                words = text.split()
                ids = [*ids_of(row.fields["question"]), tokenizer().sep_token_id, *ids_of(text)]
                states = prompted.states(input_ids=torch.tensor([ids]))[0]
                logs = readout.linear(states[[0, *range(len(ids) - len(words), len(ids))]]).log_softmax(0).tolist()
                spans = {(0, 0): "unanswerable"}
                for first in range(len(words)):
                    for last in range(first, min(first + 3, len(words))):
                        spans[first + 1, last + 1] = " ".join(words[first : last + 1])
                scores = {both: logs[both[0]][0] + logs[both[1]][1] for both in spans}
                best = max(scores, key=lambda both: scores[both])
                assert found.prediction == same.prediction == spans[best]
                assert found.probabilities == pytest.approx([torch.tensor(scores[best]).exp().item()], abs=1e-4)
                answer = in_words(TASK, row, found)
                assert (answer.label, answer.probability) == (spans[best], found.probabilities[0])


@pytest.mark.parametrize("family", FAMILIES)
def test_it_learns_and_comes_back_from_its_folder(family: str, tmp_path: Path) -> None:
    done = train(
        model(family), tokenizer(), TASK.with_data(questions()), HeadOnly(), output=tmp_path / "run", progress=False,
        max_steps=150, patience=99, head_learning_rate=0.05,
    )  # fmt: skip
    assert done.metrics["history"][-1]["train_loss"] < 0.6 * done.metrics["history"][1]["train_loss"]
    assert done.metrics["trained_parameters"] == 2 * 32 + 2
    assert {"token_f1", "exact_match"} <= done.metrics["test"].keys()
    again = load(tmp_path / "run" / "prompt", model(family), tokenizer())
    asked = [{"question": "w10", "context": "w9 w30 w31"}]
    assert again.predict(asked) == done.prompt.predict(asked)


def test_no_answer_is_learned_at_the_first_token_and_a_lost_one_not_at_all() -> None:
    prompted, readout = answering("bert", "p_tuning_v2", max_length=20)
    asked = {"question": "w10", "context": " ".join(["w20"] * 20 + ["w30"])}
    none, lost = TASK.rows_of([{**asked, "answers": ["unanswerable"]}, {**asked, "answers": ["w30"]}])
    items = [readout.encode(row) for row in (none, lost)]
    with prompted, torch.no_grad():
        batch = readout.collate(items)
        assert batch["targets"].tolist() == [[0, 0], [-100, -100]]
        both = readout.loss(prompted, batch)
        torch.testing.assert_close(both, readout.loss(prompted, readout.collate(items[:1])), atol=1e-5, rtol=1e-4)
        assert [outcome.loss is None for outcome in readout.answer(prompted, batch)] == [False, True]
    spec = readout_spec(model("bert"), TASK, METHODS["p_tuning_v2"], TrainingOptions())
    assert [
        line
        for line in told_cuts(items, spec, "rows")
        if "1 of 2 rows (50 %) have their answer in what was cut" in line
    ]


def test_what_needs_label_words_is_refused() -> None:
    with pytest.raises(SoftPromptError, match="'warp' answers with label words"):
        made(TASK, "bert", METHODS["warp"])
    with pytest.raises(SoftPromptError, match="of the kind extraction, .* readout 'mask' reads one place"):
        made(TASK, "bert", METHODS["p_tuning_v2"], readout="mask")
