"""LaTeX that compiles: rows of one width, marks, and nothing of a name that is obeyed."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from softprompt.compare.formats.grids import BEST, SECOND, grids_of
from softprompt.compare.formats.latex import as_latex, escaped
from softprompt.compare.tabulate import tabulate

from ...shared.compared import compared
from ...shared.run_folders import cell, hits


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


NAMES = ["[a]--b", "*'`\"", "50 % & {x}_\\y^2 ~ $ #1 <|>", "Größe «ąđŋ» „x“", "中文 Жα ≤ ŧ \u2009 e\u0301", "naïve…"]


def test_what_old_fonts_lack_has_its_code_point_there() -> None:
    assert escaped("Größe 中") == r"Größe \tablechar{中}{4E2D}"
    assert r"\tablechar" not in as_latex(compared())
    table = compared()
    told = as_latex(replace(table, sheets=(replace(table.sheets[0], backbone="中 ą"),)))
    assert told.startswith("% \\usepackage{booktabs}\n% \\usepackage[T1]{fontenc}\n\\providecommand{\\tablechar}")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here: a table cannot be compiled")
def test_it_compiles(tmp_path: Path) -> None:
    """With the packages that its head asks for, and nothing of it is lost on the way."""
    for place, name in enumerate(NAMES):
        for method in (name, "capt"):
            own = {"task": name, "backbone": "b_[中]"}
            cell(tmp_path / "runs" / f"{place}{method == name}", method, 1, hits(method, 1), **own)
    text = as_latex(tabulate([tmp_path / "runs"], baseline="capt"))
    packages = re.findall(r"^% (\\usepackage.*)", text, re.M)
    assert len(packages) == 2
    frame = "\\documentclass{{article}}\n{}\n\\begin{{document}}\n{}\n\\end{{document}}\n"
    (tmp_path / "x.tex").write_text(frame.format("\n".join(packages), text), encoding="utf-8")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "x.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout.decode("utf-8", "replace")[-600:]
    assert "Missing character" not in (tmp_path / "x.log").read_text(encoding="utf-8", errors="replace")
