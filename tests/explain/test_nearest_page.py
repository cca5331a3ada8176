"""The page of the nearest words: it stands alone, and shows every word and figure as text."""

from __future__ import annotations

import json
import re
from pathlib import Path

from softprompt.attached.attach import build
from softprompt.explain.nearest import nearest_words
from softprompt.explain.nearest_page import control_figure, nearest_page, neighbours_figure, norms_figure
from softprompt.methods import method as method_of
from softprompt.storage.prompt import Prompt

from ..shared.models import model, tokenizer
from ..shared.runs import run


def test_the_page_stands_alone_and_shows_every_word(tmp_path: Path) -> None:
    method, backbone = method_of("prompt_tuning", num_virtual_tokens=3), model("llama")
    made = build(backbone, tokenizer(), method)
    prompt = Prompt(method, made, None, None, None, None, backbone, tokenizer())  # type: ignore[arg-type]
    found = nearest_words(prompt, k=2)
    page = nearest_page(found, tmp_path / "page.html", "a <title>").read_text()
    assert "a &lt;title&gt;" in page
    assert 'src="http' not in page
    assert all(one.token in page for row in found.rows for one in row.neighbours)
    first = found.rows[0].neighbours[0]
    assert neighbours_figure(found).table.rows[0][1] == f"{first.token} {first.cosine:.4g}"
    chance = [row[2] for row in control_figure(found).table.rows]
    assert chance == [f"{row.control:.4g}" for row in found.rows]
    assert [row[1] for row in norms_figure(found).table.rows] == [f"{row.norm_ratio:.4g}" for row in found.rows]
    # Tokens have no order in which they could be joined: the only lines are those of the scale.
    assert "polyline" not in control_figure(found).picture + norms_figure(found).picture
    assert json.loads(json.dumps(found.as_dict()))["rows"][0]["row"] == 0


def test_the_page_tells_where_rows_began_and_what_they_do(tmp_path: Path) -> None:
    trained = run(tmp_path, "llama", method_of("prompt_tuning", num_virtual_tokens=2), max_steps=2)
    assert trained.prompt.task is not None
    rows = trained.prompt.task.with_data(tmp_path / "data" / "rows.jsonl").splits(3).validation
    found = nearest_words(trained.prompt, rows=rows)
    page = nearest_page(found, tmp_path / "page.html", "words").read_text()
    heads = re.findall(r"<th [^>]*>(.*?)</th>", page)
    assert any(heads[place : place + 4] == ["start", "moved", "loss", "accuracy"] for place in range(len(heads)))
    for row in found.rows:
        assert row.without is not None
        told = [str(row.start), f"{row.moved:.3f}", f"{row.without.loss:+.3f}"]
        cells = [re.findall(r"<td[^>]*>(.*?)</td>", line) for line in page.splitlines()]
        assert any(one[1:4] == told for one in cells)
    assert "in distances between words" in page
