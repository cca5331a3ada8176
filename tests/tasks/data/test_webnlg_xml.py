"""WebNLG's XML: entries, and what is none told in a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.guards import limits
from softprompt.tasks.data.webnlg_xml import each_entry

from ...shared.tables import told, write

WHOLE = """<?xml version="1.0" ?>
<benchmark><entries>
  <entry category="Monument" eid="Id1" size="2">
    <originaltripleset><otriple>A | b | C</otriple></originaltripleset>
    <modifiedtripleset>
      <mtriple>Tower_A | height | "12 m"</mtriple>
      <mtriple>Tower_A | place | R&amp;D town</mtriple>
    </modifiedtripleset>
    <lex comment="good" lid="Id1">Tower A, 12 m,
stands in R&amp;D town.</lex>
    <lex comment="toFix" lid="Id2">no</lex>
    <entitymap>x</entitymap>
  </entry>
  <entry category="Artist" size="1"><modifiedtripleset><mtriple>B | b | c</mtriple></modifiedtripleset></entry>
</entries></benchmark>
"""


def test_entries_as_the_json_has_them(tmp_path: Path) -> None:
    first, second = each_entry(write(tmp_path / "a.xml", WHOLE))
    assert first == (
        3,
        {
            "category": "Monument",
            "modifiedtripleset": [
                {"subject": "Tower_A", "property": "height", "object": '"12 m"'},
                {"subject": "Tower_A", "property": "place", "object": "R&D town"},
            ],
            "lexicalisations": [
                {"comment": "good", "lex": "Tower A, 12 m,\nstands in R&D town."},
                {"comment": "toFix", "lex": "no"},
            ],
        },
    )
    assert (second[0], second[1]["lexicalisations"]) == (14, [])


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("<a><b></a>", ("line 1", "not proper XML")),
        ("", ("a.xml", "not proper XML")),
        ("<html></html>", ("no WebNLG entries",)),
        (WHOLE.replace("B | b | c", "B | b"), ("line 14", "three parts")),
        ('<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', ("document type",)),
    ],
)
def test_what_is_none_is_told_in_a_line(tmp_path: Path, text: str, parts: tuple[str, ...]) -> None:
    with pytest.raises(SoftPromptError) as error:
        list(each_entry(write(tmp_path / "a.xml", text)))
    told(error, "a.xml", *parts)


def test_a_file_beyond_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "JSON", 100)
    with pytest.raises(SoftPromptError) as error:
        list(each_entry(write(tmp_path / "a.xml", WHOLE)))
    told(error, "a.xml", "bytes")
