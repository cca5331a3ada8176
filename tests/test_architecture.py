"""The page on the architecture: its picture and its links are those of the source as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from docs import architecture


def test_the_page_and_its_picture_are_current() -> None:
    assert architecture.main(["--check"]) == 0, "run make architecture"


def test_what_is_out_of_date_is_told_and_then_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page, picture = tmp_path / "architecture.md", tmp_path / "rooms.svg"
    path = Path(architecture.__file__).parent / "../src/softprompt/methods/capt.py"
    monkeypatch.setattr(architecture, "PAGE", page)
    monkeypatch.setattr(architecture, "PICTURE", picture)
    page.write_text("[`CaPT.build`](../src/softprompt/methods/capt.py#L1)")
    assert architecture.main(["--check"]) == 1
    assert "architecture.md, rooms.svg" in capsys.readouterr().out
    assert architecture.main([]) == 0
    line = int(page.read_text().rpartition("#L")[2].rstrip(")"))
    assert path.read_text(encoding="utf-8").splitlines()[line - 1].startswith("    def build(")
    assert architecture.main(["--check"]) == 0


def test_a_link_to_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "architecture.md"
    page.write_text("[`CaPT.bild`](../src/softprompt/methods/capt.py#L1)")
    monkeypatch.setattr(architecture, "PAGE", page)
    with pytest.raises(SystemExit, match="has no CaPT.bild"):
        architecture.page()


def test_arrows_that_follow_from_others_are_left_out() -> None:
    arrows = {"top": {"middle", "low"}, "middle": {"low"}, "low": set()}
    assert architecture.shortest(arrows) == {("top", "middle"), ("middle", "low")}
    assert architecture.levels(arrows) == {"top": 2, "middle": 1, "low": 0}
