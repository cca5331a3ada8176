r"""A table in LaTeX: `booktabs`, the best bold, the second underlined; to be taken over with `\input`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from softprompt.compare.formats.grids import BEST, SECOND, Grid, grids_of, told
from softprompt.compare.table import Table
from softprompt.errors import shown

_MARKS = {BEST: r"\textbf{{}}", SECOND: r"\underline{{}}"}
_COMMANDS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
}
_OBEYED = re.compile("|".join(map(re.escape, _COMMANDS)))


def as_latex(table: Table) -> str:
    """One floating table a grid; what was left out stands in comments at the end."""
    parts = [r"% \usepackage{booktabs}", *("\n".join(_grid(grid)) for grid in grids_of(table))]
    comments = "\n".join(f"% {shown(line)}" for line in told(table))
    return "\n\n".join([*parts, *([comments] if comments else [])]) + "\n"


def _grid(grid: Grid) -> Iterator[str]:
    yield r"\begin{table}[t]"
    yield r"\centering"
    yield rf"\caption{{{escaped('; '.join((grid.title, *grid.foot)))}.}}"
    yield rf"\begin{{tabular}}{{l{'r' * (len(grid.columns) - 1)}}}"
    yield r"\toprule"
    yield rf"{' & '.join(map(escaped, grid.columns))} \\"
    yield r"\midrule"
    for row in grid.rows:
        yield rf"{' & '.join(entry.written(escaped, _MARKS) for entry in row)} \\"
    yield r"\bottomrule"
    yield r"\end{tabular}"
    yield r"\end{table}"


def escaped(text: str) -> str:
    """A text that LaTeX shows as it is."""
    return _OBEYED.sub(lambda found: _COMMANDS[found.group()], shown(text))
