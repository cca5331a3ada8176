"""DART's release: one JSON list a split."""

from __future__ import annotations

import json
from pathlib import Path

from ...shared.tables import load, write


def test_the_published_division(tmp_path: Path) -> None:
    records = [
        {"tripleset": [["A", "WON", "B"]], "annotations": [{"source": "s", "text": "A won B."}, {"text": "B: A"}]},
        {"tripleset": [["C", "AGE", "5"]], "annotations": [{"source": "s", "text": "C is 5."}]},
    ]
    for split in ("train", "dev", "test"):
        write(tmp_path / f"dart-v1.1.1-full-{split}.json", json.dumps(records, indent=1))
    splits = load("dart", tmp_path)
    assert [row.answers for row in splits.test] == [("A won B.", "B: A"), ("C is 5.",)]
    assert [row.value for row in splits.train] == ["A won B.", "B: A", "C is 5."]
    assert splits.validation[0].fields == {"triples": "A : won : B"}
