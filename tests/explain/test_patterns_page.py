"""The page of kept layers: the map, the gates and the groups, as they are in the reading."""

from __future__ import annotations

import re
from pathlib import Path

from softprompt.explain.patterns import LayerPatterns, TaskPattern, groups_of
from softprompt.explain.patterns_page import gates_figure, map_figure, patterns_page

from ..shared.pages import words


def reading(gates: tuple[float, ...] | None = (0.4, 0.6, 0.7)) -> LayerPatterns:
    tasks = (
        TaskPattern("sst2 <b>", "spt", "tiny", 4, 2, (0.75, 0.25, 1.0), gates),
        TaskPattern("trec", "spt", "tiny", 1, 2, (0.0, 1.0, 1.0), None),
    )
    return LayerPatterns(3, groups_of(3), tasks, 0)


def test_the_page_holds_the_map_the_gates_and_the_groups(tmp_path: Path) -> None:
    found = reading()
    assert map_figure(found).table.rows == (("sst2 <b>", "0.75", "0.25", "1"), ("trec", "0", "1", "1"))
    assert gates_figure(found).table.rows == (("sst2 <b>", "0.4", "0.6", "0.7"), ("trec", "", "", ""))
    assert {"embedding", "middle"} <= set(words(map_figure(found).picture))  # no other group has a layer
    assert not {"bottom", "last"} & set(words(map_figure(found).picture))
    page = patterns_page(found, tmp_path / "page.html", "which <layers>").read_text(encoding="utf-8")
    assert page.count("<figure ") == 2
    assert "which &lt;layers&gt;" in page
    assert re.search(r'<td>all tasks</td><td class="n">0.38</td>', page)
    assert "<b>" not in page


def test_runs_without_gates_have_no_second_picture(tmp_path: Path) -> None:
    page = patterns_page(reading(gates=None), tmp_path / "page.html", "layers").read_text(encoding="utf-8")
    assert page.count("<figure ") == 1
