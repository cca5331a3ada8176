"""The page that compares runs: whole, self-contained, and escaped."""

from __future__ import annotations

from pathlib import Path

from softprompt.explain.report import comparison_page
from softprompt.training.finished import RunMetrics

from ..shared.runs import finished


def run(method: str, accuracy: float) -> RunMetrics:
    return finished(
        method=method,
        task="words <b>",
        test={"accuracy": accuracy, "interval": [accuracy - 0.1, accuracy + 0.1], "rows": 8},
        history=[{"step": 0, "accuracy": 0.5}, {"step": 4, "accuracy": accuracy}],
    )


def test_a_page_of_two_runs(tmp_path: Path) -> None:
    path = comparison_page([run("one", 0.75), run("two", 0.875)], tmp_path / "page.html", "A & B")
    page = path.read_text(encoding="utf-8")
    assert page.count("plotly.js v") == 1  # one script for both figures
    assert page.count('class="plotly-graph-div"') == 2
    assert "<title>A &amp; B</title>" in page
    assert "words &lt;b&gt; on tiny, 8 held-out rows, seed 3" in page
    told = "<td>0.875</td>\n<td>0.775 to 0.975</td><td>1,234</td>\n<td>0.62</td><td>5,678</td>"
    assert f'<tr class="best"><td>two</td>{told}' in page
    assert "<p><small>torch 2</small></p>" in page
    bars, table, curves = (page.index(word) for word in ("held-out rows, with", "<table>", "on validation rows"))
    assert bars < table < curves
