"""Answers of several tokens score as their chains, and choices by their likelihood."""

from __future__ import annotations

import random
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch

from softprompt.attached.attach import attach, build
from softprompt.backbones.backbone import Backbone
from softprompt.errors import SoftPromptError
from softprompt.methods import Method, method
from softprompt.readouts.build import build_readout
from softprompt.readouts.candidates import Candidates
from softprompt.readouts.continuations import read_off
from softprompt.readouts.label_words import LabelWords
from softprompt.tasks import Task
from softprompt.training.options import TrainingOptions
from softprompt.training.setup import readout_spec

from ..shared.models import EOS, model, tokenizer
from ..shared.prompts import METHODS
from ..shared.readouts import CHOICES, TEXTS, answers, ids_of, made


@pytest.mark.parametrize("name", ["capt", "prompt_tuning", "p_tuning_v2"])
def test_a_label_of_several_tokens_scores_as_its_chain(name: str) -> None:
    task = Task(template="{text} {mask}", labels={"0": "w10 w11", "1": "w12", "2": "w10 w13 w14"})
    prompted, readout = made(task, "llama", METHODS[name])
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


@pytest.mark.parametrize("kind", ["labels", "choices"])
@pytest.mark.parametrize(
    ("family", "told"),
    [
        ("bart", "is 70 tokens, and the backbone's decoder takes 64: shorten it"),
        ("llama", "an answer may have 70 tokens, which leaves no room for a text in 64"),
        ("t5", None),
    ],
)
def test_an_answer_without_room_is_refused_and_never_cut(kind: str, family: str, told: str | None) -> None:
    long = " ".join(["w10"] * 70)
    row: dict[str, object] = {"text": "w20"}
    if kind == "labels":
        task = Task(template="{text} {mask}", labels={"0": long, "1": "w12"})
    else:
        task, row = Task(kind="choice", fields=("text",), template="{text} {mask}"), {**row, "choices": [long, "w12"]}
    with nullcontext() if told is None else pytest.raises(SoftPromptError, match=told):
        _, readout = made(task, family, METHODS["prompt_tuning"])
        assert len(readout.encode(task.rows_of([row])[0]).targets[0]) == 70


@pytest.mark.parametrize("family", ["llama", "gemma3", "bart", "t5"])
def test_of_answers_that_begin_one_another_each_has_its_end(family: str) -> None:
    """Whole answers exclude one another, so their probabilities add up to at most one."""
    words = ["w10", "w10 w11", "w10 w11 w12", "w13"]
    task = Task(template="{text} {mask}", labels=words)
    prompted, readout = made(task, family, METHODS["prompt_tuning"])
    _, plain = made(task, family, METHODS["prompt_tuning"], answer_end="no")
    assert isinstance(readout, Candidates)
    assert not readout.vocabulary
    start = getattr(model(family).config, "decoder_start_token_id", None)
    with prompted, torch.no_grad():
        rows = task.rows_of(TEXTS)
        logs = readout.outputs(prompted, readout.collate([readout.encode(row) for row in rows]))
        assert (logs.exp().sum(-1) <= 1).all()
        for text, found in zip(TEXTS, logs, strict=True):
            for word, log in zip(words, found, strict=True):
                text_ids, goal = ids_of(text), [*ids_of(word), EOS]
                if start is None:
                    given = prompted(input_ids=torch.tensor([[*text_ids, *goal]])).logits[0, len(text_ids) - 1 :]
                else:
                    decoded = torch.tensor([[start, *goal[:-1]]])
                    given = prompted(input_ids=torch.tensor([text_ids]), decoder_input_ids=decoded).logits[0]
                expected = sum(given[place].log_softmax(-1)[token] for place, token in enumerate(goal))
                assert float(log) == pytest.approx(float(expected), abs=1e-3)
        bare = plain.outputs(prompted, plain.collate([plain.encode(row) for row in rows]))
        assert (bare[:, 0] > bare[:, 1]).all()
        assert (bare[:, 1] > bare[:, 2]).all()


KINDS = ("labels", "choices", "in place")
ALONE = [
    *((kind, family, torch.float32, 1e-4) for kind in KINDS for family in ("llama", "gpt2", "bart")),
    ("labels", "bert", torch.float32, 1e-4),
    *((kind, "llama", torch.bfloat16, 0.1) for kind in KINDS),
]


@pytest.mark.parametrize(("kind", "family", "dtype", "within"), ALONE)
def test_a_row_is_answered_alone_as_among_others(kind: str, family: str, dtype: torch.dtype, within: float) -> None:
    template = "{text} w50 {choice}" if kind == "in place" else "{text} w50 {mask}"
    words, own = ["w60", "w60 w61", "w62"], kind != "labels"
    values: dict[str, Any] = {"kind": "choice", "fields": ("text",)} if own else {"labels": words}
    task = Task(template=template, **values)
    choices = [["w30 w31", "w32"], words, ["w60 w61", "w60"]]
    rows = task.rows_of([{"text": t, "choices": c} if own else t for t, c in zip(TEXTS, choices, strict=True)])
    spec = readout_spec(model(family), task, METHODS["p_tuning_v2"], TrainingOptions())
    backbone = Backbone(model(family, dtype=dtype), tokenizer())
    prompt = build(backbone, METHODS["p_tuning_v2"])
    readout = build_readout(task, backbone, prompt, spec)
    with attach(backbone, prompt) as prompted, torch.no_grad():
        together = answers(prompted, readout, rows)
        for row, outcome in zip(rows, together, strict=True):
            [alone] = answers(prompted, readout, [row])
            assert outcome.probabilities[: len(alone.probabilities)] == pytest.approx(alone.probabilities, abs=within)
            if dtype == torch.float32:
                assert (outcome.prediction, outcome.otherwise) == (alone.prediction, alone.otherwise)


def test_padding_on_the_left_changes_nothing() -> None:
    task = Task(template="{text} {mask}", labels=["w60", "w60 w61"])
    prompted, readout = made(task, "llama", METHODS["p_tuning_v2"])
    batch = readout.collate([readout.encode(row) for row in task.rows_of(TEXTS)])
    gaps = (batch["attention_mask"] == 0).sum(1)
    moved = dict(batch)
    for name in ("input_ids", "attention_mask", "conditioning_mask"):
        shifted = [one.roll(int(gap)) for one, gap in zip(batch[name], gaps, strict=True)]
        moved[name] = torch.stack(shifted)
    moved["columns"] = (batch["columns"] + gaps[:, None]).clamp(max=batch["input_ids"].shape[1] - 1)
    with prompted, torch.no_grad():
        expected = readout.outputs(prompted, batch)
        assert torch.allclose(readout.outputs(prompted, moved), expected, atol=1e-4)


def test_only_rows_whose_choices_begin_one_another_have_an_end() -> None:
    rows = [{"premise": "w20", "choices": ["w30", "w31 w30"]}, {"premise": "w20", "choices": ["w30 w31", "w30"]}]
    for template, ends in (("{premise} {choice}", 1), ("{premise} {mask}", 1), ("{premise} {choice} w50", 0)):
        task = Task(kind="choice", fields=("premise",), template=template)
        _, readout = made(task, "llama", METHODS["capt"])
        first, second = (readout.encode(row) for row in task.rows_of(rows))
        assert not first.ended
        assert second.ended == bool(ends)
        assert all((ids[-1] == EOS) == bool(ends) for ids in second.targets)


def test_a_choice_in_its_place_has_room_for_its_end() -> None:
    task = Task(kind="choice", fields=("premise",), template="{premise} w50 {choice}")
    _, readout = made(task, "llama", METHODS["prompt_tuning"], max_length=16)
    long = {"premise": " ".join(["w20"] * 30), "choices": ["w30", "w30 w31"]}
    batch = readout.collate([readout.encode(task.rows_of([long])[0])])
    assert batch["input_ids"].shape[1] + METHODS["prompt_tuning"].num_virtual_tokens == 16
    assert (batch["input_ids"] == EOS).any(1).all()


@pytest.mark.parametrize("template", ["{premise} {choice}", "{premise} {mask}"])
def test_an_empty_choice_is_refused(template: str) -> None:
    task = Task(kind="choice", fields=("premise",), template=template)
    _, readout = made(task, "llama", METHODS["capt"])
    with pytest.raises(SoftPromptError, match="row 0: choice 1 is empty"):
        readout.encode(task.rows_of([{"premise": "w20", "choices": ["w30", ""]}])[0])


def test_a_choice_that_begins_the_text_is_refused_where_its_first_token_has_no_column() -> None:
    task = Task(kind="choice", fields=("premise",), template="{choice} w50 {premise}")
    row = task.rows_of([{"premise": "w20", "choices": ["w30", "w31 w32"]}])[0]
    with pytest.raises(SoftPromptError, match=r"nothing stands before \{choice\}.*write a word in front"):
        made(task, "gpt2", METHODS["p_tuning_v2"])[1].encode(row)
    assert len(made(task, "t5", METHODS["p_tuning_v2"])[1].encode(row).texts) == 2


def test_it_answers_as_the_harness_does() -> None:
    """lm-evaluation-harness 0.4.13, `lm_eval/api/task.py`: argmax of sums, and of sums by characters."""
    chance = random.Random(7)
    texts = [" ".join(f"w{chance.randint(20, 99)}" for _ in range(chance.randint(1, 6))) for _ in range(40)]
    pool = ["w7", "w10 w11", "w12 w13 w9", "w8 w99", "w14 w15 w16 w17"]
    task = Task(kind="choice", fields=("text",), template="{text} w50 {mask}")
    rows = task.rows_of([{"text": text, "choices": chance.sample(pool, chance.randint(2, 4))} for text in texts])
    for scoring in ("acc", "acc_norm"):
        prompted, readout = made(task, "llama", METHODS["p_tuning_v2"], scoring=scoring, loss="vocabulary")
        with prompted, torch.no_grad():
            for row, outcome in zip(rows, answers(prompted, readout, rows), strict=True):
                assert row.choices is not None
                sums = []
                for choice in row.choices:
                    context, goal = ids_of(f"{row.fields['text']} w50"), ids_of(choice)
                    logs = prompted(input_ids=torch.tensor([context + goal])).logits[0].log_softmax(-1)
                    sums.append(sum(float(logs[len(context) - 1 + i, token]) for i, token in enumerate(goal)))
                by_character = [log / len(choice) for log, choice in zip(sums, row.choices, strict=True)]
                best = {"acc": sums.index(max(sums)), "acc_norm": by_character.index(max(by_character))}
                other = "acc_norm" if scoring == "acc" else "acc"
                assert (outcome.prediction, outcome.otherwise) == (best[scoring], (other, best[other]))


@pytest.mark.parametrize("scoring", ["acc", "acc_norm"])
def test_the_training_loss_is_that_of_what_is_compared(scoring: str) -> None:
    task = Task(template="{text} {mask}", labels=["w10", "w10 w11", "w12"])
    prompted, readout = made(task, "llama", METHODS["capt"], scoring=scoring)
    rows = [replace(row, label=place) for place, row in enumerate(task.rows_of(TEXTS))]
    items = [readout.encode(row) for row in rows]
    with prompted, torch.no_grad():
        loss = readout.loss(prompted, readout.collate(items, train=True))
        told = [outcome.loss for outcome in readout.answer(prompted, readout.collate(items))]
        logs = readout.outputs(prompted, readout.collate(items))
        lengths = torch.tensor([3.0, 7.0, 3.0]) if scoring == "acc_norm" else 1.0
        expected = torch.nn.functional.cross_entropy(logs / lengths, torch.arange(3))
    assert float(loss) == pytest.approx(sum(told) / 3, abs=1e-5)
    assert float(loss) == pytest.approx(float(expected), abs=1e-5)


def test_one_token_by_a_character_is_compared_as_well() -> None:
    task = Task(template="{text} {mask}", labels=["w9", "w10"])
    _, plain = made(task, "llama", METHODS["capt"])
    prompted, readout = made(task, "llama", METHODS["capt"], scoring="acc_norm")
    assert isinstance(plain, LabelWords)
    assert isinstance(readout, Candidates)
    assert not readout.vocabulary
    with prompted:
        for one, other in zip(
            *(answers(prompted, made_of, task.rows_of(TEXTS)) for made_of in (plain, readout)), strict=True
        ):
            assert other.otherwise == ("acc", one.prediction)


@pytest.mark.parametrize(
    ("family", "task", "records"),
    [
        ("t5", {"template": "{text}", "labels": {"0": "w10 w11", "1": "w12"}}, [("w20 w21", "0"), ("w30", "1")]),
        ("llama", {"template": "{text}", "labels": {"0": "w10 w11", "1": "w12"}}, [("w20", "0"), ("w30", "1")]),
        ("llama", {"template": "{text}", "labels": {"0": "w10", "1": "w12"}}, [("w20", "0"), ("w30", "1")]),
        ("bert", {"template": "{text} {mask}", "labels": {"0": "w10 w11", "1": "w12"}}, [("w20", "0")]),
        ("bert", {"template": "{text} {mask}", "labels": {"0": "w10", "1": "w12"}}, [("w20", "0"), ("w3", "1")]),
        ("t5", {"template": "{text}", "kind": "generation"}, [("w20", "w21 w22"), ("w30", "w31")]),
    ],
)
def test_z_loss_is_added_where_the_loss_is_over_the_vocabulary(
    family: str, task: dict[str, Any], records: list[tuple[str, str]]
) -> None:
    """The weight times the mean of log(Z)^2 over the tokens of the right answers."""
    own = Task(**task)
    rows = own.rows_of([{"text": text, "label": label} for text, label in records])
    losses = {}
    for weight in (0.0, 0.25, 1.0):
        prompted, readout = made(own, family, METHODS["prompt_tuning"], loss="vocabulary", z_loss=weight)
        with prompted, torch.no_grad():
            items = [readout.encode(row) for row in rows]
            batch = readout.collate(items, train=True)
            losses[weight] = float(readout.loss(prompted, batch))
            if not weight:
                squares = []
                for row in rows:  # one by one, each with its own answer alone
                    asked = readout.collate([readout.encode(row)], train=True)
                    given = {"input_ids": asked["input_ids"], "positions": asked["columns"]}
                    if "decoder_input_ids" in asked:
                        given["decoder_input_ids"] = asked["decoder_input_ids"]
                    logits = prompted(**given).logits[0].float()
                    squares += logits.logsumexp(-1).square().tolist()
    mean = sum(squares) / len(squares)
    assert mean > 1e-3
    assert losses[0.25] - losses[0.0] == pytest.approx(0.25 * mean, rel=1e-3)
    assert losses[1.0] - losses[0.0] == pytest.approx(mean, rel=1e-3)


@pytest.mark.parametrize(
    ("own", "options"),
    [
        (METHODS["prompt_tuning"], {"loss": "labels"}),
        (METHODS["prompt_tuning"], {"readout": "head"}),
        (method("soft_words", prompts=("w20 {text}", "{text} w21")), {"loss": "vocabulary"}),
    ],
)
def test_z_loss_is_refused_where_the_loss_is_another(own: Method, options: dict[str, Any]) -> None:
    task = Task(template="w20 {text}", labels={"0": "w10", "1": "w12"})
    with pytest.raises(SoftPromptError, match="z_loss is a part of the loss over the vocabulary"):
        made(task, "llama", own, z_loss=1e-4, **options)


def test_logits_are_read_off_a_few_columns_at_a_time_as_all_at_once() -> None:
    logits, targets = torch.randn(5, 9, 50), torch.randint(50, (5, 9))
    seen = (torch.rand(5, 9) < 0.6).long()
    pieces = read_off(logits, targets, seen)
    whole = read_off(logits.requires_grad_(), targets, seen)
    for one, other in zip(pieces, whole, strict=True):
        torch.testing.assert_close(one[seen.bool()], other[seen.bool()].detach())


@pytest.mark.parametrize("name", ["prompt_tuning", "p_tuning_v2"])
def test_what_candidates_share_runs_once_and_padding_asks_the_head_nothing(name: str) -> None:
    """A text and its last column's logits serve all answers; each further token of an answer is a column of its own."""
    task = Task(template="{text} {mask}", labels={"0": "w10 w11", "1": "w12", "2": "w10 w13 w14 w15"})
    prompted, readout = made(task, "llama", METHODS[name])
    widths: dict[str, int] = {}

    def note(where: str) -> Any:
        return lambda _, args: widths.update({where: args[0].shape[1]})

    with prompted, torch.no_grad():
        handles = [
            prompted.anatomy.layers[0].mlp.register_forward_pre_hook(note("layer")),
            prompted.backbone.lm_head.register_forward_pre_hook(note("head")),
        ]
        answers(prompted, readout, task.rows_of(["w20 w21 w22 w23 w24 w25 w26"]))
        for handle in handles:
            handle.remove()
    text = len(ids_of("w20 w21 w22 w23 w24 w25 w26"))
    # The last token of an answer is read, and need not run, but that of the longest stands in the batch.
    assert widths["head"] == 1 + 1 + 3
    assert widths["layer"] == prompted.prompts[0].footprint.count + text + 2 + 1 + 4
