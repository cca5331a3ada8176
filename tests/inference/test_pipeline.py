"""Transformers' pipeline gives the labels and probabilities that `predict` gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from softprompt.errors import SoftPromptError

from ..shared.members import GENERATION, few, member

TEXTS = ["w20 w41 w42 w30", "w55 w61", "w30 w50 w51", "w20"]


@pytest.mark.parametrize(
    ("family", "wishes"),
    [("llama", {}), ("bert", {}), ("llama", {"readout": "head"}), ("t5", {}), ("bert", {"readout": "rows"})],
)
def test_labels_and_probabilities_are_those_of_predict(
    family: str, wishes: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prompt = member(few(tmp_path, template="{text} w77 {mask}")[0], family, "capt", seed=5, **wishes)
    labels, chances = prompt.predict(TEXTS), prompt.predict(TEXTS, returns="probabilities")
    with prompt.attach() as prompted:
        serve = prompted.pipeline("text-classification")
        assert [one["label"] for one in serve(TEXTS)] == labels
        assert serve(TEXTS[0])[0]["score"] == pytest.approx(chances[0][labels[0]], abs=1e-6)
        for batch_size in (1, 3):
            found = serve(TEXTS, top_k=None, batch_size=batch_size)
            for one, expected in zip(found, chances, strict=True):
                assert {each["label"]: each["score"] for each in one} == pytest.approx(expected, abs=1e-5)
    assert "not supported" not in caplog.text


def test_a_row_of_fields_is_given_by_name(tmp_path: Path) -> None:
    task = few(tmp_path)[0].model_copy(update={"fields": ("one", "two"), "template": "{one} w77 {two} {mask}"})
    prompt = member(task, "llama", "prompt_tuning", seed=5)
    rows = [{"one": "w20", "two": "w30 w31"}, {"one": "w40 w41", "two": "w50"}]
    with prompt.attach() as prompted:
        serve = prompted.pipeline(top_k=None)
        found = [{each["label"]: each["score"] for each in one} for one in serve(rows)]
    for one, expected in zip(found, prompt.predict(rows, returns="probabilities"), strict=True):
        assert one == pytest.approx(expected, abs=1e-5)


def test_what_has_no_classes_or_is_another_pipeline_is_refused(tmp_path: Path) -> None:
    prompt = member(few(tmp_path, **GENERATION)[0], "llama", "prompt_tuning", seed=5)
    with prompt.attach() as prompted:
        with pytest.raises(SoftPromptError, match="a generation task without classes: use answer"):
            prompted.pipeline("text-classification")
        with pytest.raises(SoftPromptError, match="'text-generation': text-classification alone is made here"):
            prompted.pipeline("text-generation")


def test_options_of_a_tokenizer_have_no_part(tmp_path: Path) -> None:
    prompt = member(few(tmp_path)[0], "llama", "prompt_tuning", seed=5)
    with prompt.attach() as prompted:
        serve = prompted.pipeline()
        for given in ("w20 w41", {"text": "w20 w41"}):
            for option in ({"truncation": True}, {"max_length": 8}):
                with pytest.raises(SoftPromptError, match=f"pipeline: {next(iter(option))} is for a tokenizer"):
                    serve(given, **option)
