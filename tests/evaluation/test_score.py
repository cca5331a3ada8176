"""The metrics of answers: the task's own, the mean loss, and how many rows were seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.evaluation.pooled import pooled_metrics
from softprompt.evaluation.score import evaluate as evaluate_prompt
from softprompt.evaluation.score import metrics_of, score, scored, search
from softprompt.inference.predict import predict
from softprompt.readouts import Outcome
from softprompt.tasks import Row, Splits, Task, evaluate
from softprompt.tasks.seen import SeenRows
from softprompt.training.run import train

from ..shared.members import few, member
from ..shared.models import model, tokenizer

TASK = Task(template="{text} {mask}", labels={"0": "w10", "1": "w11"})


def test_scores_are_the_tasks_and_the_mean_loss() -> None:
    rows = [Row({"text": "w20"}, label) for label in (0, 1, 1)]
    found = [Outcome(1, (0.4, 0.6), loss) for loss in (0.5, None, 1.5)]
    expected = evaluate(TASK, rows, [1, 1, 1])
    assert score(TASK, rows, found) == {**expected, "loss": 1.0}
    assert score(TASK, rows[:1], [Outcome(0, (0.6, 0.4), None)])["loss"] is None


def test_rows_that_were_seen_are_counted_where_they_are_known(tmp_path: Path) -> None:
    task, rows = few(tmp_path)
    prompt = member(task, "llama", "prompt_tuning", seed=1)
    readout = prompt.readout
    assert readout is not None
    with prompt.attach() as prompted:
        readout.seen = None
        plain = metrics_of(prompted, readout, task, rows)
        assert plain == score(task, rows, predict(prompted, readout, rows))
        readout.seen = SeenRows.of(Splits(rows[:2], rows[2:3], [], protocol="one file", seed=1), ("text",))
        assert metrics_of(prompted, readout, task, rows) == {**plain, "seen_rows": 3}


def test_the_accuracy_by_the_other_scoring_stands_beside() -> None:
    rows = [Row({"text": "w20"}, label) for label in (0, 1, 1)]
    found = [Outcome(1, (0.4, 0.6), 0.5, otherwise=("acc_norm", place)) for place in (0, 1, 0)]
    scored = score(TASK, rows, found)
    assert (scored["accuracy"], scored["acc_norm"]) == (2 / 3, 2 / 3)
    assert score(TASK, rows, [*found[:2], Outcome(0, (0.6, 0.4), 0.5, otherwise=("acc_norm", 1))])["acc_norm"] == 1
    assert "acc_norm" not in score(TASK, rows, [Outcome(1, (0.4, 0.6), 0.5)] * 3)


def test_a_table_is_put_into_words_and_scored_by_row_with_other_beams(tmp_path: Path) -> None:
    for name, first, count in (("train", 10, 6), ("valid", 20, 3), ("test", 30, 3)):
        lines = [f"w{first + n} w50||w{60 + n} w{wording}" for n in range(count) for wording in (70, 71)]
        (tmp_path / f"src1_{name}.txt").write_text("\n".join(lines) + "\n")
    task = Task.load("e2e", data=tmp_path)
    run = train(
        model("gpt2"), tokenizer(), task, "prefix_tuning", output=tmp_path / "run", progress=False, max_steps=2,
        max_new_tokens=3, num_beams=2,
    )  # fmt: skip
    found = run.metrics["test"]
    assert (found["rows"], len(found["interval"])) == (3, 2)
    assert {"bleu", "chrf", "rougeL"} <= set(found)
    prompt, rows = run.prompt, task.splits().test
    assert prompt.readout_spec is not None
    assert (prompt.readout_spec.num_beams, [len(row.answers) for row in rows]) == (2, [2, 2, 2])
    scores = {}
    with pytest.raises(SoftPromptError, match="--length-penalty nan: give a number"):
        search(prompt.readout, 2, float("nan"))
    for beams in (1, 2, 3):
        search(prompt.readout, beams, None)
        assert prompt.readout is not None
        with prompt.attach() as prompted:
            answered = scored(prompted, prompt.readout, task, rows)
        scores[beams] = answered.scores
        texts = [str(one.prediction) for one in answered.outcomes]
        assert answered.scores["chrf"] == evaluate(task, rows, texts)["chrf"]
    assert scores[2]["chrf"] == found["chrf"]


def test_beams_are_of_prompts_that_write(tmp_path: Path) -> None:
    task, _ = few(tmp_path)
    prompt = member(task, "llama", "prompt_tuning", 1)
    search(prompt.readout, None, None)
    with pytest.raises(SoftPromptError, match="--num-beams"):
        search(prompt.readout, 5, None)


def test_a_prompt_is_scored_in_one_call(tmp_path: Path) -> None:
    """As its attached model is, also by another task's metrics; without a task there is nothing to score."""
    task, _ = few(tmp_path)
    rows = task.splits().test
    prompt = member(task, "llama", "prompt_tuning", 1)
    assert prompt.readout is not None
    with prompt.attach() as prompted:
        expected = metrics_of(prompted, prompt.readout, task, rows)
    assert evaluate_prompt(prompt, rows) == expected
    other = task.model_copy(update={"metrics": ("macro_f1",)})
    assert "macro_f1" in evaluate_prompt(prompt, rows, task=other)
    with pytest.raises(SoftPromptError, match="saved without a task"):
        evaluate_prompt(replace(prompt, task=None), rows)


def test_labels_in_another_order_are_other_labels(tmp_path: Path) -> None:
    """Answers are numbers of the prompt's labels: scored against rows of another order they would be turned around."""
    task, rows = few(tmp_path)
    prompt = member(task, "llama", "prompt_tuning", 0)
    turned = task.model_copy(update={"labels": dict(reversed(task.labels.items()))})
    with pytest.raises(SoftPromptError, match="has labels 1, 0, but the prompt answers with 0, 1"):
        evaluate_prompt(prompt, rows, task=turned)
    with pytest.raises(SoftPromptError, match="has labels 1, 0, but the prompt answers with 0, 1"):
        pooled_metrics(member(task, "llama", "deep_prompt", 0), rows, task=turned)
