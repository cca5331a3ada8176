"""What a task, a run, a prompt and an ensemble say of themselves in short."""

from __future__ import annotations

from pathlib import Path

import softprompt as sp
from softprompt.storage.summary import measured

from ..shared.models import model, tokenizer
from ..shared.runs import run, task


def test_each_says_what_it_is_in_less_than_ten_lines(tmp_path: Path) -> None:
    done = run(tmp_path, "llama", sp.PromptTuning(num_virtual_tokens=2), max_steps=2)
    own, prompt = done.prompt.task, done.prompt
    assert own is not None
    accuracy = f"{done.metrics['test']['accuracy']:.3f}"
    assert repr(done) == str(done)
    assert repr(done).startswith(f"Run: prompt_tuning for {own.name}, seed 3\n  test        accuracy {accuracy}")
    assert repr(prompt).startswith(f"Prompt: prompt_tuning for {own.name}\n  options   num_virtual_tokens 2")
    assert "32 trained on, 4 chosen on" in repr(prompt)
    for value in (done, done.record, prompt, own, sp.Ensemble([prompt] * 9), sp.nearest_words(prompt)):
        assert len(repr(value).splitlines()) < 10
        assert "<table" in value._repr_html_()


def test_a_prompt_that_was_never_trained_says_less() -> None:
    with sp.attach(model("llama"), tokenizer(), sp.PromptTuning(num_virtual_tokens=2)) as prompted:
        from softprompt.storage.attached import attached_prompt

        assert repr(attached_prompt(prompted, 0)).startswith("Prompt: prompt_tuning\n  options")


def test_rows_are_named_by_their_files(tmp_path: Path) -> None:
    own = task(tmp_path / "deep" / "data")
    assert "rows.jsonl" in repr(own)
    assert str(tmp_path) not in repr(own)
    rows, file = [{"text": "w20", "label": "0"}] * 40, tmp_path / "deep" / "data" / "rows.jsonl"
    held = own.with_data(rows, shots=4, test_data=file)
    assert "rows      a table, tested on rows.jsonl, 4 rows a class to train on" in repr(held)
    assert "none" in repr(sp.Task(template="{text} {mask}", labels=["w10", "w11"]))
    many = sp.Task(template="{text} {mask}", labels=[f"w{index}" for index in range(10, 40)])
    assert "w17 and 22 more" in repr(many)


def test_what_was_not_measured_is_left_out() -> None:
    assert measured("test", "accuracy", {}) == measured("test", "accuracy", None) == []
    figures = {"accuracy": 0.5, "interval": [0.1, 0.9], "rows": 4}
    assert measured("test", "accuracy", figures) == [("test", "accuracy 0.500 [0.100, 0.900] on 4 rows")]
