"""Readouts against plain re-derivations: label words, candidates, choices, regressions, heads and free text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from softprompt.errors import SoftPromptError
from softprompt.methods import HeadOnly
from softprompt.tasks import Task
from softprompt.tasks.text.encoding import affixes, continuation, pad, with_virtual
from softprompt.training.run import train

from ..shared.models import model, tokenizer
from ..shared.prompts import METHODS
from ..shared.readouts import TEXTS, answers, ids_of, made


@torch.no_grad()
def next_logs(prompted: Any, text: str) -> torch.Tensor:
    """Log-probabilities after a text, row alone and whole."""
    return prompted(input_ids=torch.tensor([ids_of(text)])).logits[0, -1].log_softmax(-1)


@pytest.mark.parametrize("method", ["capt", "prompt_tuning", "p_tuning_v2", "hard_prompt"])
def test_label_words_are_a_softmax_over_their_logits(method: str) -> None:
    task = Task(template="{text} w50 {mask}", labels={"0": "w10", "1": "w11", "2": "w12"})
    prompted, readout = made(task, "llama", METHODS[method])
    with prompted:
        found = answers(prompted, readout, task.rows_of(TEXTS))
        for text, outcome in zip(TEXTS, found, strict=True):
            expected = next_logs(prompted, f"{text} w50")[[10, 11, 12]].softmax(-1)
            assert outcome.probabilities == pytest.approx(expected.tolist(), abs=1e-5)
            assert outcome.prediction == int(expected.argmax())


def test_the_mask_readout_reads_the_mask() -> None:
    task = Task(template="w60 {mask} w61 {text}", labels={"0": "w10", "1": "w11"})
    prompted, readout = made(task, "bert", METHODS["capt"])
    with prompted, torch.no_grad():
        found = answers(prompted, readout, task.rows_of(TEXTS))
        for text, outcome in zip(TEXTS, found, strict=True):
            whole = torch.tensor([ids_of(f"w60 [MASK] w61 {text}")])
            expected = prompted(input_ids=whole).logits[0, 1, [10, 11]].softmax(-1)
            assert outcome.probabilities == pytest.approx(expected.tolist(), abs=1e-5)


@pytest.mark.parametrize("method", ["capt", "prompt_tuning", "p_tuning_v2"])
def test_a_label_of_several_tokens_scores_as_its_chain(method: str) -> None:
    task = Task(template="{text} {mask}", labels={"0": "w10 w11", "1": "w12", "2": "w10 w13 w14"})
    prompted, readout = made(task, "llama", METHODS[method])
    with prompted, torch.no_grad():
        found = answers(prompted, readout, task.rows_of(TEXTS))
        for text, outcome in zip(TEXTS, found, strict=True):
            scores = []
            for words in ("w10 w11", "w12", "w10 w13 w14"):
                text_ids, label = ids_of(text), ids_of(words)
                whole = torch.tensor([text_ids + label])
                seen = torch.tensor([[True] * len(text_ids) + [False] * len(label)])
                logs = prompted(input_ids=whole, conditioning_mask=seen).logits[0].log_softmax(-1)
                scores.append(sum(logs[len(text_ids) - 1 + i, token] for i, token in enumerate(label)))
            assert outcome.probabilities == pytest.approx(torch.stack(scores).softmax(-1).tolist(), abs=1e-4)


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_an_encoder_decoder_scores_label_texts(family: str) -> None:
    task = Task(template="{text} {mask}", labels={"0": "w10 w11", "1": "w12"})
    prompted, readout = made(task, family, METHODS["prompt_tuning"])
    start = model(family).config.decoder_start_token_id
    with prompted, torch.no_grad():
        found = answers(prompted, readout, task.rows_of(TEXTS))
        for text, outcome in zip(TEXTS, found, strict=True):
            scores = []
            for words in ("w10 w11", "w12"):
                label = ids_of(words)
                logits = prompted(
                    input_ids=torch.tensor([ids_of(text)]), decoder_input_ids=torch.tensor([[start, *label[:-1]]])
                ).logits[0]
                scores.append(sum(logits[i].log_softmax(-1)[token] for i, token in enumerate(label)))
            assert outcome.probabilities == pytest.approx(torch.stack(scores).softmax(-1).tolist(), abs=1e-4)


@pytest.mark.parametrize("loss", ["labels", "vocabulary"])
@pytest.mark.parametrize(
    ("family", "labels"), [("llama", ("w10", "w11")), ("llama", ("w10 w11", "w12")), ("t5", ("w10", "w11"))]
)
def test_losses_are_what_they_say(loss: str, family: str, labels: tuple[str, str]) -> None:
    task = Task(template="{text} {mask}", labels=dict(zip("01", labels, strict=True)))
    prompted, readout = made(task, family, METHODS["prompt_tuning"], loss=loss)
    rows = task.rows_of([{"text": text, "label": str(i % 2)} for i, text in enumerate(TEXTS)])
    items = [readout.encode(row) for row in rows]
    with prompted, torch.no_grad():
        found = float(readout.loss(prompted, readout.collate(items, train=True)))
        if loss == "labels":
            outcomes = readout.answer(prompted, readout.collate(items))
            expected = sum(o.loss for o in outcomes) / len(outcomes)
        else:
            chains = []
            for row in rows:
                label, text = ids_of(labels[row.label]), ids_of(row.fields["text"])
                if family == "t5":
                    start = model(family).config.decoder_start_token_id
                    decoder = torch.tensor([[start, *label[:-1]]])
                    logits = prompted(input_ids=torch.tensor([text]), decoder_input_ids=decoder).logits[0]
                else:
                    logits = prompted(input_ids=torch.tensor([text + label])).logits[0, len(text) - 1 :]
                chains += [-logits[i].log_softmax(-1)[token] for i, token in enumerate(label)]
            expected = float(torch.stack(chains).mean())
    assert found == pytest.approx(expected, abs=1e-4)


CHOICES = [
    {"premise": "w20 w21", "choices": ["w30 w31", "w32"], "label": 0},
    {"premise": "w22", "choices": ["w33", "w34 w35 w36", "w37"], "label": 2},
]


def test_choices_are_scored_by_likelihood() -> None:
    task = Task(kind="choice", fields=("premise",), template="{premise} w50 {choice} w51")
    prompted, readout = made(task, "qwen3", METHODS["capt"])
    with prompted, torch.no_grad():
        rows = task.rows_of(CHOICES)
        for row, outcome in zip(rows, answers(prompted, readout, rows), strict=True):
            scores = []
            for choice in row.choices:
                before, after = ids_of(f"{row.fields['premise']} w50"), ids_of(f"{choice} w51")
                seen = torch.tensor([[True] * len(before) + [False] * len(after)])
                logits = prompted(input_ids=torch.tensor([before + after]), conditioning_mask=seen).logits[0]
                logs = logits.log_softmax(-1)
                scores.append(sum(logs[len(before) - 1 + i, token] for i, token in enumerate(after)))
            expected = torch.stack(scores).softmax(-1)
            assert outcome.probabilities[: len(scores)] == pytest.approx(expected.tolist(), abs=1e-4)
            assert all(p == 0 for p in outcome.probabilities[len(scores) :])


@pytest.mark.parametrize("family", ["bert", "llama", "t5"])
def test_choices_train_with_a_head(family: str, tmp_path: Path) -> None:
    lines = [json.dumps({**CHOICES[i % 2], "premise": f"w{20 + i} w21"}) for i in range(20)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n")
    task = Task(kind="choice", fields=("premise",), template="{premise} {choice}").with_data(tmp_path / "rows.jsonl")
    done = train(
        model(family), tokenizer(), task, HeadOnly(), output=tmp_path / "run", progress=False, max_steps=150,
        patience=99,
    )  # fmt: skip
    assert done.metrics["history"][-1]["train_loss"] < 0.5 * done.metrics["history"][1]["train_loss"]
    assert done.metrics["trained_parameters"] == 32 + 1


@pytest.mark.parametrize(
    ("family", "readout"), [("llama", "text"), ("bert", "mask"), ("llama", "head"), ("t5", "head")]
)
def test_a_regression_predicts_within_its_bounds(family: str, readout: str, tmp_path: Path) -> None:
    lines = [json.dumps({"text": f"w{40 + i} w{30 if i % 2 else 20}", "label": 5.0 * (i % 2)}) for i in range(40)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n")
    words = {} if readout == "head" else {"labels": {"0": "w10", "5": "w11"}}
    task = Task(kind="regression", template="{text} {mask}", bounds=(0, 5), metric="pearson", **words)
    method = HeadOnly() if readout == "head" else METHODS["prompt_tuning"]
    done = train(
        model(family), tokenizer(), task.with_data(tmp_path / "rows.jsonl"), method, output=tmp_path / "run",
        progress=False, max_steps=40, learning_rate=0.05, readout=readout, patience=99,
    )  # fmt: skip
    assert done.metrics["history"][-1]["loss"] < done.metrics["history"][0]["loss"]
    found = [float(answer) for answer in done.predict(["w41 w20", "w40 w30"])]
    assert found[0] < 2.5 < found[1]


@pytest.mark.parametrize("family", ["llama", "gemma3", "t5", "bart"])
@pytest.mark.parametrize("method", ["capt", "p_tuning_v2"])
def test_free_text_is_trained_and_generated(family: str, method: str, tmp_path: Path) -> None:
    lines = [json.dumps({"text": f"w{30 + i} w21", "answer": "w10 w11"}) for i in range(60)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n")
    task = Task(kind="generation", template="{text} {mask}", metric="exact_match", columns={"label": ["answer"]})
    done = train(
        model(family), tokenizer(), task.with_data(tmp_path / "rows.jsonl"), METHODS[method], output=tmp_path / "run",
        progress=False, max_steps=2, max_new_tokens=4,
    )  # fmt: skip
    assert done.metrics["test"]["rows"] == 6
    texts = ["w30 w21", "w33 w34 w35 w21"]
    together = done.predict(texts)
    assert together == [done.predict([text])[0] for text in texts]


@pytest.mark.parametrize("pooling", ["first", "last", "mean"])
@pytest.mark.parametrize("family", ["bert", "llama", "t5"])
@pytest.mark.parametrize("method", ["capt", "prompt_tuning", "head_only"])
def test_pooling_sees_text_only(pooling: str, family: str, method: str) -> None:
    task = Task(template="{text} {mask}", labels={"0": "w10", "1": "w11"})
    prompted, readout = made(task, family, METHODS[method], readout="head", pooling=pooling)
    with prompted, torch.no_grad():
        batch = readout.collate([readout.encode(row) for row in task.rows_of(TEXTS)])
        found = readout.features(prompted, batch)  # type: ignore[operator]
        for row, text in enumerate(TEXTS):
            states = prompted.states(input_ids=torch.tensor([ids_of(text)]))[0]
            expected = {"first": states[0], "last": states[-1], "mean": states.mean(0)}[pooling]
            torch.testing.assert_close(found[row], expected, atol=1e-4, rtol=1e-4)


def test_the_stored_head_is_plain(tmp_path: Path) -> None:
    task = Task(template="{text} {mask}", labels={"0": "w10", "1": "w11"})
    prompted, readout = made(task, "bert", HeadOnly())
    with prompted, torch.no_grad():
        batch = readout.collate([readout.encode(row) for row in task.rows_of(TEXTS)])
        features = readout.features(prompted, batch)  # type: ignore[operator]
        readout.standardise(features)  # type: ignore[operator]
        readout.linear.weight.normal_()  # type: ignore[union-attr]
        stored = readout.stored()
        expected = [o.probabilities for o in readout.answer(prompted, batch)]
        plain = (features @ stored["head.weight"].T + stored["head.bias"]).softmax(-1)
        assert [pytest.approx(p, abs=1e-5) for p in plain.tolist()] == expected
        readout.load_stored(stored)
        assert [o.probabilities for o in readout.answer(prompted, batch)] == [
            pytest.approx(p, abs=1e-5) for p in expected
        ]


@pytest.mark.parametrize(
    ("family", "task", "options", "message"),
    [
        ("bert", {"labels": {"0": "w10 w11", "1": "w12"}}, {"readout": "mask"}, "2 tokens"),
        ("bert", {"labels": {"0": "w10", "1": "w11"}}, {"readout": "text"}, "'mask' or 'head'"),
        ("llama", {"labels": {"0": "w10", "1": "w11"}}, {"readout": "mask"}, "masked language model"),
        ("llama", {"labels": {"0": "w10", "1": "zebra"}}, {}, "zebra"),
        ("llama", {"labels": {"0": "w10", "1": "w10"}}, {}, "same tokens"),
        ("llama", {"kind": "generation", "metric": "exact_match"}, {"readout": "head"}, "free text"),
        ("llama", {"kind": "regression", "metric": "pearson"}, {"readout": "head"}, "bounds"),
    ],
)
def test_a_readout_that_cannot_be_is_one_line(
    family: str, task: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SoftPromptError, match=message) as error:
        prompted, _ = made(Task(template="{text} {mask}", **task), family, METHODS["capt"], **options)
    assert "\n" not in str(error.value)


def test_pieces() -> None:
    assert affixes(tokenizer()) == ((), ())
    assert continuation(tokenizer(), "w10 w11", space=True) == (10, 11)
    ids, mask = pad([[5, 6], [7]], 0)
    assert ids.tolist() == [[5, 6], [7, 0]]
    assert mask is not None
    assert mask.tolist() == [[1, 1], [1, 0]]
    assert pad([[5], [6]], 0)[1] is None
    assert pad([[5, 6], [7]], 0, left=True)[0].tolist() == [[5, 6], [0, 7]]
    assert with_virtual(torch.tensor([[-1, -3, 8]]), torch.tensor([100])).tolist() == [[100, 102, 8]]
