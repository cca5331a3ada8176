"""CoNLL 2003 as it is published: four columns, documents apart, three files."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt.tasks import Task

SENTENCE = "{} NNP {} {}\nsaid VBD I-VP O\n\n"
# Chunks and names are IOB1 in the original, BIO in most copies.
SCHEMES = {"IOB1": ("I-NP", "I-ORG"), "BIO": ("B-NP", "B-ORG")}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_published_division_stands(tmp_path: Path, scheme: str) -> None:
    chunk, tag = SCHEMES[scheme]
    for name, words in {"train": ["EU", "UN", "NATO"], "valid": ["WTO"], "test": ["IMF", "OPEC"]}.items():
        text = "-DOCSTART- -X- -X- O\n\n" + "".join(SENTENCE.format(word, chunk, tag) for word in words)
        (tmp_path / f"{name}.txt").write_text(text)
    task = Task.load("conll03", data=tmp_path)
    splits = task.splits()
    assert (splits.protocol, task.metric) == ("published", "span_f1")
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [3, 1, 2]
    row = splits.train[0]
    assert row.words == ("EU", "said")
    assert row.label == (task.label_values.index(tag), 0)
