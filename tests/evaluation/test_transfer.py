"""Transfer: translated labels, renamed fields, and whose template is read."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from softprompt.errors import SoftPromptError
from softprompt.evaluation.score import metrics_of
from softprompt.evaluation.transfer import transfer_metrics, translation
from softprompt.inference.predict import predict
from softprompt.tasks import Row, Task

from ..shared.members import GENERATION, few, member
from ..shared.runs import task as words_task

NLI = {"entailment": "w10", "neutral": "w11", "contradiction": "w12"}


def pair_task(**changes: Any) -> Task:
    values = {
        "name": "pairs", "fields": ("one", "two"), "template": "{one} {two} {mask}", "labels": {"0": "w10", "1": "w11"},
        **changes,
    }  # fmt: skip
    return Task(**values)


def test_the_same_task_gives_what_evaluate_gives(tmp_path: Path) -> None:
    task = words_task(tmp_path)
    rows = task.splits(1).train
    prompt = member(task, "llama", "prompt_tuning", 2)
    assert prompt.readout is not None
    with prompt.attach() as prompted:
        own = metrics_of(prompted, prompt.readout, task, rows)
    for template in ("source", "target"):
        found = transfer_metrics(prompt, task, rows, template=template)  # type: ignore[arg-type]
        assert found["accuracy"] == own["accuracy"]
        assert found["interval"] == own["interval"]
        assert found["loss"] == pytest.approx(own["loss"], abs=1e-5)


def test_swapped_words_swap_the_answers(tmp_path: Path) -> None:
    task = words_task(tmp_path)
    rows = task.splits(1).train
    prompt = member(task, "llama", "prompt_tuning", 2)
    plain = transfer_metrics(prompt, task, rows)
    swapped = transfer_metrics(prompt, task, rows, words={"w10": "1", "1": "w10"})
    assert swapped["accuracy"] == pytest.approx(1 - plain["accuracy"])


def test_several_classes_may_mean_one_and_their_probabilities_add_up() -> None:
    source = pair_task(labels=NLI)
    target = pair_task(labels={"yes": "w20", "no": "w21"}, metrics=["accuracy"])
    words = {"entailment": "yes", "neutral": "no", "contradiction": "w21"}
    rows = [Row({"one": f"w{40 + i}", "two": f"w{60 + i}"}, i % 2, index=i) for i in range(12)]
    prompt = member(source, "llama", "prompt_tuning", 5)
    assert prompt.readout is not None
    with prompt.attach() as prompted:
        asked = [Row(row.fields, index=row.index) for row in rows]
        chances = torch.tensor([one.probabilities for one in predict(prompted, prompt.readout, asked)])
    merged = torch.stack([chances[:, 0], chances[:, 1:].sum(-1)], -1)
    labels = torch.tensor([int(row.label or 0) for row in rows])
    found = transfer_metrics(prompt, target, rows, words=words)
    assert found["accuracy"] == pytest.approx((merged.argmax(-1) == labels).float().mean().item())
    assert found["loss"] == pytest.approx(-merged[torch.arange(12), labels].log().mean().item(), abs=1e-5)


def test_fields_take_each_others_places(tmp_path: Path) -> None:
    source = pair_task()
    target = pair_task(fields=("left", "right"), template="w9 {right} {left} {mask}")
    rows = [Row({"left": f"w{40 + i}", "right": f"w{60 + i}"}, i % 2, index=i) for i in range(8)]
    prompt = member(source, "llama", "prompt_tuning", 5)

    def losses(**options: Any) -> float:
        return float(transfer_metrics(prompt, target, rows, **options)["loss"])

    def by_hand(template: str) -> float:
        same = member(pair_task(fields=("left", "right"), template=template), "llama", "prompt_tuning", 5)
        assert same.readout is not None
        with same.attach() as prompted:
            return float(metrics_of(prompted, same.readout, target, rows)["loss"])

    assert losses() == pytest.approx(by_hand("{left} {right} {mask}"), abs=1e-5)
    turned = losses(fields={"one": "right", "two": "left"})
    assert turned == pytest.approx(by_hand("{right} {left} {mask}"), abs=1e-5)
    assert losses(template="target") == pytest.approx(by_hand("w9 {right} {left} {mask}"), abs=1e-5)
    assert len({round(value, 4) for value in (losses(), turned, losses(template="target"))}) == 3


@pytest.mark.parametrize("template", ["source", "target"])
def test_a_linear_head_goes_with_its_prompt(template: Any, tmp_path: Path) -> None:
    task = words_task(tmp_path)
    rows = task.splits(1).train
    prompt = member(task, "bert", "prompt_tuning", 2, readout="head")
    assert prompt.readout is not None
    with prompt.attach() as prompted:
        own = metrics_of(prompted, prompt.readout, task, rows)
    found = transfer_metrics(prompt, task, rows, template=template)
    assert found["loss"] == pytest.approx(own["loss"], abs=1e-5)


def test_free_text_needs_no_words(tmp_path: Path) -> None:
    task, rows = few(tmp_path, **GENERATION)
    prompt = member(task, "t5", "prompt_tuning", 2, max_new_tokens=3)
    assert prompt.readout is not None
    with prompt.attach() as prompted:
        own = metrics_of(prompted, prompt.readout, task, rows)
    assert transfer_metrics(prompt, task, rows) == own


@pytest.mark.parametrize(("source", "target"), [("squad", "mrqa"), ("squad_spans", "mrqa_spans")])
def test_from_squad_to_a_packed_file_of_mrqa(source: str, target: str, tmp_path: Path) -> None:
    lines: list[Any] = [{"header": {"dataset": "Other", "split": "dev"}}]
    for n in range(4):
        context = f"w{10 + n} w20 w21 w{30 + n}"
        asked = [{"qid": f"{n}", "question": f"w{40 + n}", "answers": [f"w{30 + n}", "w20"], "detected_answers": []}]
        lines.append({"context": context, "qas": asked})
    path = tmp_path / "Other.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode()))
    other = Task.load(target)
    rows = other.labelled_rows(path)
    prompt = member(Task.load(source), "llama", "p_tuning_v2", 2, max_new_tokens=3)
    found = transfer_metrics(prompt, other, rows)
    guesses = prompt.predict([dict(row.fields) for row in rows])
    scores = []
    for guess, row in zip(guesses, rows, strict=True):
        shared = max(right in guess.split() for right in row.answers)  # of one word each
        scores.append(2 * shared / (len(guess.split()) + 1))
    assert found["token_f1"] == pytest.approx(sum(scores) / 4)
    assert found["exact_match"] == sum(guess in row.answers for guess, row in zip(guesses, rows, strict=True)) / 4
    assert found["rows"] == 4


def test_the_catalog_pairs_of_the_paper_translate() -> None:
    qqp, mrpc = Task.load("qqp"), Task.load("mrpc")
    found = translation(qqp, mrpc)
    assert found.classes == (0, 1)
    assert found.fields == {"question1": "sentence1", "question2": "sentence2"}
    named = translation(qqp, mrpc, {"duplicate": "equivalent", "not_duplicate": "not_equivalent"})
    assert named == found
    assert translation(mrpc, qqp, {"equivalent": "not_duplicate", "not_equivalent": "duplicate"}).classes == (1, 0)
    nli = {"entailment": "entailment", "neutral": "not_entailment", "contradiction": "not_entailment"}
    assert translation(Task.load("mnli"), Task.load("rte"), nli).classes == (0, 1, 1)


FAULTS: dict[str, tuple[Task, Task, dict[str, str], dict[str, str], str]] = {
    "kinds": (pair_task(), Task(kind="generation", template="{one}"), {}, {}, "same kind"),
    "no words": (pair_task(), pair_task(labels={"0": "w20", "1": "w21"}), {}, {}, "--words w10=w20"),
    "unknown word": (pair_task(), pair_task(), {"w77": "w10"}, {}, "'w77'"),
    "a class left out": (pair_task(), pair_task(), {"w10": "w10"}, {}, "leave out"),
    "a class out of reach": (pair_task(), pair_task(), {"w10": "w10", "w11": "w10"}, {}, "never be the answer"),
    "words without classes": (
        Task(kind="generation", template="{one}"), Task(kind="generation", template="{one}"), {"a": "b"}, {}, "no class"
    ),
    "unknown field": (pair_task(), pair_task(), {}, {"three": "one"}, "three=one"),
    "a field without counterpart": (pair_task(), Task(template="{text} {mask}", labels=["w10", "w11"]), {}, {},
                                    "'one' has no counterpart"),
}  # fmt: skip


@pytest.mark.parametrize("kind", list(FAULTS))
def test_tasks_that_do_not_fit_are_refused_in_one_line(kind: str) -> None:
    source, target, words, fields, message = FAULTS[kind]
    with pytest.raises(SoftPromptError, match=message) as error:
        translation(source, target, words, fields)
    assert "\n" not in str(error.value)


def test_renamed_fields_are_for_the_sources_template(tmp_path: Path) -> None:
    task = words_task(tmp_path)
    prompt = member(task, "llama", "prompt_tuning", 2)
    rows = task.splits(1).train[:2]
    with pytest.raises(SoftPromptError, match="leave them out"):
        transfer_metrics(prompt, task, rows, fields={"text": "text"}, template="target")


def test_a_field_that_is_not_renamed_is_the_one_of_its_name() -> None:
    target = pair_task(fields=("first", "two"), template="{first} {two} {mask}")
    assert translation(pair_task(), target, fields={"one": "first"}).fields == {"one": "first", "two": "two"}
    both = pair_task(fields=("first", "other"), template="{first} {other} {mask}")
    with pytest.raises(SoftPromptError, match="field 'two' has no counterpart among first, other"):
        translation(pair_task(), both, fields={"one": "first"})


def test_a_template_is_the_sources_or_the_targets(tmp_path: Path) -> None:
    task, rows = few(tmp_path)
    with pytest.raises(SoftPromptError, match="template is 'other': choose one of source, target"):
        transfer_metrics(member(task, "llama", "prompt_tuning", 2), task, rows, template="other")  # type: ignore[arg-type]
