r"""A table in LaTeX: `booktabs`, the best bold, the second underlined; to be taken over with `\input`.

It compiles under pdflatex, too, whose fonts lack most of Unicode: a character that they lack is shown there by its
code point, and as it is by lualatex and xelatex. What of the Latin letters is in no old font needs `fontenc`.
"""

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
    '"': r"{\ttfamily\char34}",  # \textquotedbl needs another encoding than the usual one
    "`": r"\textasciigrave{}",
    "±": r"$\pm$",
}
_PUNCTUATION = "\u2010-\u2014\u2018\u2019\u201c\u201d†•…‰€™→"  # beyond Latin-1, in every installation
_NEWER = "«»ÐÞðþĄąĐđĘęĮįŊŋŲų\u201a„"  # in fonts of the encoding T1
_NOWHERE = "ĦħĸĿŀŉŦŧſ"  # of Latin Extended-A
_FONTS = r"% \usepackage[T1]{fontenc}"
_LACKED = r"\providecommand{\tablechar}[2]{\ifdefined\pdftexversion U+#2\else #1\fi}"
_BEYOND = rf"[^ -~\u00a0-\u017f{_PUNCTUATION}\u201a„]|[{_NOWHERE}]"
_OBEYED = re.compile("|".join([*map(re.escape, _COMMANDS), "-(?=-)", "'(?=')", _BEYOND]))


def as_latex(table: Table) -> str:
    """One floating table a grid; what was left out stands in comments at the end."""
    grids = ["\n".join(_grid(grid)) for grid in grids_of(table)]
    text = "".join(grids)
    head = [r"% \usepackage{booktabs}", *([_FONTS] if set(_NEWER) & set(text) else [])]
    parts = ["\n".join([*head, *([_LACKED] if r"\tablechar" in text else [])]), *grids]
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
        line = " & ".join(entry.written(escaped, _MARKS) for entry in row)
        yield rf"{'{}' if line[0] in '[*' else ''}{line} \\"  # a rule and the end of a line would read these
    yield r"\bottomrule"
    yield r"\end{tabular}"
    yield r"\end{table}"


def escaped(text: str) -> str:
    """A text that LaTeX shows as it is."""
    return _OBEYED.sub(_harmless, shown(text))


def _harmless(found: re.Match[str]) -> str:
    one = found.group()
    if one in "-'":  # two would be a dash, or a quotation mark
        return one + "{}"
    return _COMMANDS.get(one) or rf"\tablechar{{{one}}}{{{ord(one):04X}}}"
