"""LaTeX that compiles: rows of one width, marks, and nothing of a name that is obeyed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from softprompt.compare.formats.grids import BEST, SECOND, grids_of
from softprompt.compare.formats.latex import as_latex, escaped

from ...shared.compared import compared


def tables(text: str) -> list[list[str]]:
    """The rows of each tabular."""
    found = re.findall(r"\\begin\{tabular\}\{(l?r*)\}(.*?)\\end\{tabular\}", text, re.S)
    return [[line for line in body.splitlines() if line.endswith(r"\\")] for _, body in found]


@pytest.mark.parametrize("hostile", [False, True])
def test_each_grid_is_a_table_of_booktabs(hostile: bool) -> None:
    table = compared(hostile)
    text = as_latex(table)
    grids = grids_of(table)
    found = tables(text)
    assert [len(rows) for rows in found] == [len(grid.rows) + 1 for grid in grids]
    for rows, grid in zip(found, grids, strict=True):
        assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {len(grid.columns) - 1}
    for rule in ("toprule", "midrule", "bottomrule"):
        assert text.count(rf"\{rule}") == len(grids)
    marks = [entry.mark for grid in grids for row in grid.rows for entry in row if entry.text]
    assert text.count(r"\textbf{") == marks.count(BEST)
    assert text.count(r"\underline{") == marks.count(SECOND)
    assert text.count(r"\end{tabular}") == len(grids)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b", r"a\_b"),
        ("50 % & more", r"50 \% \& more"),
        ("\\input{x}", r"\textbackslash{}input\{x\}"),
        ("x^2 ~ $y$ #1", r"x\textasciicircum{}2 \textasciitilde{} \$y\$ \#1"),
        ("0.8 ±.01", r"0.8 $\pm$.01"),
        ("a\nb", r"a\textbackslash{}nb"),
    ],
)
def test_names_are_shown_as_they_are(text: str, expected: str) -> None:
    assert escaped(text) == expected


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here")
def test_it_compiles(tmp_path: Path) -> None:
    frame = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n%s\n\\end{document}\n"
    (tmp_path / "x.tex").write_text(frame % as_latex(compared(hostile=True)), encoding="utf-8")
    subprocess.run(["pdflatex", "-halt-on-error", "x.tex"], cwd=tmp_path, check=True, capture_output=True, timeout=120)
