"""The page that compares runs: whole, self-contained, and escaped; it marks no winner, and has a line of chance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from softprompt.explain.comparison import Sample, comparison_page, scored
from softprompt.training.finished import RunMetrics

from ..shared.pages import Read, marks
from ..shared.runs import finished

WORST = {"file": "a.tsv", "line": 3, "text": "so <bad>", "label": "0", "answer": "1", "probability": 0.9, "score": None}


def run(method: str, accuracy: float) -> RunMetrics:
    behind: dict[str, Any] = {"split": "test", "class_count": 2, "classes": [], "confusion": None, "confused": []}
    return finished(
        method=method,
        task="words <b>",
        test={"accuracy": accuracy, "interval": [accuracy - 0.1, accuracy + 0.1], "rows": 8},
        history=[{"step": 0, "accuracy": 0.5}, {"step": 4, "accuracy": accuracy}],
        breakdown={**behind, "majority": {"label": "0", "score": 0.55}, "worst": [WORST]},
    )


def test_a_page_of_two_runs(tmp_path: Path) -> None:
    path = comparison_page([run("one", 0.75), run("two", 0.875)], tmp_path / "page.html", "A & B")
    page = path.read_text(encoding="utf-8")
    assert page.count("<figure ") == 2
    assert "<title>A &amp; B</title>" in page
    assert "words &lt;b&gt; on tiny, 8 held-out rows, seed 3" in page
    told = '<td class="n">0.875</td><td>0.775 to 0.975</td><td class="n">1,234</td><td class="n">0.62</td>'
    assert f"<tr><td>two</td>{told}" in page
    assert "<small>torch 2</small>" in page
    assert "so &lt;bad&gt;" in page
    assert len(page.encode()) < 60_000


def test_chance_is_a_line_and_samples_stand_below(tmp_path: Path) -> None:
    runs = [run("one", 0.75), run("two", 0.875)]
    figure = scored(runs)
    assert [row[0] for row in figure.table.rows] == ["two", "one"]
    assert figure.table.foot == ("always answering '0': 0.55",)
    assert len(marks(figure.picture, "base")) == 2
    samples = [Sample("a text", "good", {"one": "good", "two": "bad"})]
    read = Read(comparison_page(runs, tmp_path / "page.html", "t", samples).read_text(encoding="utf-8"))
    assert {"a text", "good", "bad"} <= set(read.texts["td"])
    assert "so <bad>" not in read.texts["td"]
