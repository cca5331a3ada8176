"""Records of local files: csv, tsv, jsonl, text, CoNLL's (packed or not), json, parquet, arrow, Excel, WebNLG's XML."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import dropwhile, islice
from pathlib import Path

from softprompt.errors import SoftPromptError
from softprompt.guards.documents import parse_json
from softprompt.guards.paths import check_file
from softprompt.tasks.data.arrow import ipc_records, parquet_records
from softprompt.tasks.data.conll import CONLL_ENDINGS, is_conll, sentences
from softprompt.tasks.data.csv_rows import csv_rows
from softprompt.tasks.data.dialect import dialect_of
from softprompt.tasks.data.divided import divided_records
from softprompt.tasks.data.excel import sheet_rows
from softprompt.tasks.data.json_file import each_object, is_lines
from softprompt.tasks.data.lines import PACKED, TextFile, text_file, without_end
from softprompt.tasks.data.quoting import is_quoted
from softprompt.tasks.data.record import Columns, Record, TaggedColumns
from softprompt.tasks.data.webnlg_xml import each_entry
from softprompt.tasks.values import label_text, meant

_JSON_LINES = (".jsonl", ".ndjson")
_CELLS = (".tsv", ".csv", ".txt")
_LINES = (*_CELLS, *_JSON_LINES)
# A folder's files of the first line are looked for before those of the others.
ENDINGS = (".tsv", ".csv", ".jsonl", ".parquet", ".txt")
_PACKED_LINES = (ending + packed for packed in PACKED for ending in (*_LINES, *CONLL_ENDINGS))
OTHER_ENDINGS = (".ndjson", ".json", ".arrow", ".feather", ".xlsx", ".xml", *CONLL_ENDINGS, *_PACKED_LINES)
# What others are, and what helps.
_MENDS = {
    (".xls", ".xlsb", ".ods", ".numbers"): "save the sheet as .xlsx or .csv",
    (".zip", ".zst", ".7z", ".tar", ".tgz", ".rar", ".lz4"): "unpack it, or pack the file with gzip (.csv.gz)",
    (".sav", ".dta", ".sas7bdat", ".rds", ".rdata"): "write it as csv or parquet",
    (".pkl", ".pickle", ".npy", ".npz", ".h5", ".hdf5"): "write it as parquet, or hand the table over in Python",
    (".db", ".sqlite", ".sqlite3", ".sql"): "write the query's rows as csv or parquet",
    (".html", ".htm", ".pdf", ".doc", ".docx"): "write its rows as csv or jsonl",
}


def ending_of(path: Path) -> str:
    """What a file's name says of its format, in small letters: ``.csv``, or ``.csv.gz`` where it is packed."""
    name = path.name.lower()
    packed = next((one for one in PACKED if name.endswith(one)), "")
    return Path(name.removesuffix(packed)).suffix + packed


def format_of(path: Path) -> str:
    """What a file's name says of its format, packed or not: ``.csv``."""
    ending = ending_of(path)
    return next((ending.removesuffix(one) for one in PACKED if ending.endswith(one)), ending)


def stem_of(path: Path) -> str:
    """A file's name without `ending_of`."""
    return path.name[: len(path.name) - len(ending_of(path))]


def read_records(path: Path, columns: Columns) -> list[Record]:
    """The records of a file.

    Tab-separated files are read without quoting, as GLUE's are, but for those that are properly quoted throughout. In a
    csv file semicolons, tabs or bars may stand between the cells.

    Raises:
        SoftPromptError: the file cannot be read, is empty, is of an encoding that is not known, or has a row of
            another width.
    """
    return list(each_record(path, columns))


def each_record(
    path: Path,
    columns: Columns,
    *,
    blanks: bool = False,
    encoding: str | None = None,
    notes: list[str] | None = None,
) -> Iterator[Record]:
    """The records of a file one by one; see `read_records`.

    Args:
        path: of the file.
        columns: what the task looks for.
        blanks: give blank lines, too.
        encoding: of a text file; told by its bytes where it is None.
        notes: takes what a reader of results should know of how the file was read, while it is read.
    """
    tagged = _is_tagged(path, columns, encoding)
    if not tagged:
        _check_ending(path)
    check_file(path)
    empty, own = True, [] if notes is None else notes
    found = _sentences(path, columns, encoding, own) if tagged else _records(path, columns, encoding, own)
    for record in found:
        empty = empty and record.blank
        if blanks or not record.blank:
            yield record
    if empty:
        raise SoftPromptError(f"{path}: the file has no rows; give one row a line")


def _is_tagged(path: Path, columns: Columns, encoding: str | None) -> bool:
    """Whether a file has a word a line: as its name says, or as a text file of a task with tags may."""
    if format_of(path) in CONLL_ENDINGS:
        return True
    lined = format_of(path) in (".txt", ".tsv") or ending_of(path) not in (*ENDINGS, *OTHER_ENDINGS)
    if columns.tagged is None or not lined:
        return False
    return columns.tagged.always or is_conll(path, columns.is_label, encoding)


def _sentences(path: Path, columns: Columns, encoding: str | None, notes: list[str]) -> Iterator[Record]:
    with text_file(path, encoding, notes) as file:
        yield from sentences(file, columns.tagged or TaggedColumns(), columns.is_label)


def _check_ending(path: Path) -> None:
    ending = ending_of(path)
    if ending in (*ENDINGS, *OTHER_ENDINGS):
        return
    last = path.suffix.lower()
    mend = next((mend for endings, mend in _MENDS.items() if last in endings), None)
    known = ", ".join((*ENDINGS, ".ndjson", ".json", ".arrow", ".feather", ".xlsx", *CONLL_ENDINGS))
    mend = mend or f"use {known}, or lines packed, as .csv.gz"
    raise SoftPromptError(f"{path}: files that end in {ending!r} are not read; {mend}")


def is_cells(path: Path) -> bool:
    """Whether a file is lines of cells, whose first may be a header or a row."""
    return format_of(path) in (*_CELLS, ".xlsx")


def each_cells(
    path: Path, fits: Callable[[Sequence[str]], int], encoding: str | None = None, notes: list[str] | None = None
) -> Iterator[tuple[int, Sequence[object]]]:
    """The lines of such a file as cells, with their numbers; a blank line has none.

    Args:
        path: of the file.
        fits: how well a first line's cells are those of a table; see `dialect_of`.
        encoding: as for `each_record`.
        notes: likewise.

    Raises:
        SoftPromptError: see `read_records`.
    """
    check_file(path)
    own, ending = [] if notes is None else notes, format_of(path)
    if ending == ".xlsx":
        yield from sheet_rows(path, own)
        return
    with text_file(path, encoding, own) as file:
        if ending != ".csv":
            yield from _tsv(file)
            return
        dialect = dialect_of(file, fits)
        own += dialect.notes(path.name)
        rows = csv_rows(file, dialect.delimiter)
        if dialect.said:
            rows = islice(dropwhile(lambda row: not row[1], rows), 1, None)
        yield from rows


def _records(path: Path, columns: Columns, encoding: str | None, notes: list[str]) -> Iterator[Record]:
    ending = format_of(path)
    if ending == ".parquet":
        return parquet_records(path, columns)
    if ending in (".arrow", ".feather"):
        return ipc_records(path, columns)
    if ending == ".xml" or (ending == ".json" and not is_lines(path)):
        found = each_entry(path) if ending == ".xml" else each_object(path)
        return (Record(values, str(path), number) for number, values in found)
    if ending in (".json", *_JSON_LINES):
        return _json_lines(path, encoding, notes)
    if ending == ".txt" and columns.divider is not None:
        return divided_records(path, columns.headerless, columns.divider, encoding, notes)
    return _table(path, each_cells(path, partial(_columns_known, columns=columns), encoding, notes), columns)


def _columns_known(cells: Sequence[str], columns: Columns) -> int:
    """How many of a first line's cells are columns of the task; one where it is a row without a header."""
    return len(columns.known.intersection(cells)) or int(_headerless(list(cells), columns) is not None)


def _tsv(file: TextFile) -> Iterator[tuple[int, list[str]]]:
    if is_quoted(file):
        yield from csv_rows(file, "\t")
        return
    for number, whole in file.lines():
        line = without_end(whole)
        yield number, line.split("\t") if line.strip(" ") else []


def _table(path: Path, rows: Iterable[tuple[int, Sequence[object]]], columns: Columns) -> Iterator[Record]:
    rows, origin = iter(rows), str(path)
    number, begin = next(((number, cells) for number, cells in rows if cells), (0, []))
    if not begin:
        return
    first = ["" if cell is None else label_text(cell) for cell in begin]
    names = _headerless(first, columns)
    if names is None:
        _check_header(first, columns, f"{path}, line {number}")
        names = _apart(first)
    else:
        yield Record(dict(zip(names, begin, strict=False)), origin, number)
    for number, cells in rows:
        if len(cells) > len(names) and any(cell not in ("", None) for cell in cells[len(names) :]):
            raise SoftPromptError(
                f"{path}, line {number}: {len(cells)} columns where the file has {len(names)}; "
                f"{'put texts in double quotes' if format_of(path) == '.csv' else 'take tabs out of the texts'}"
            )
        values = dict(zip(names, cells, strict=False))
        yield Record(values, origin, number) if cells else Record(values, origin, number, blank=True)


def _check_header(names: list[str], columns: Columns, where: str) -> None:
    """Make sure that a header has a column of the task, and none of them twice.

    Raises:
        SoftPromptError: it has not; or what it was probably meant to be.
    """
    twice = next((name for name in names if name in columns.known and names.count(name) > 1), None)
    if twice is not None:
        raise SoftPromptError(f"{where}: column {twice!r} stands twice; keep one")
    if not columns.known & set(names):
        near = [one for one in (meant(name, names) for name in sorted(columns.known)) if one is not None]
        hint = f" (did you mean {near[0]!r}?); rename it, or name it in the task's columns" if near else ""
        raise SoftPromptError(
            f"{where}: no header with a column of the task; it looks for "
            f"{', '.join(map(repr, sorted(columns.known)))}, and found {', '.join(map(repr, names[:8]))}{hint}"
        )


def _apart(names: list[str]) -> list[str]:
    """A header's names, each once, so that no column takes another's place: a later `x` is `x.1`, as pandas has it."""
    found: dict[str, None] = {}
    for name in names:
        own, count = name, 0
        while own in found:
            count += 1
            own = f"{name}.{count}"
        found[own] = None
    return list(found)


def _headerless(first: list[str], columns: Columns) -> list[str] | None:
    """The columns' names where the first line is a row already, else None."""
    names = columns.headerless[: len(first)]
    if len(names) < len(first) or "label" not in names or len(first) < 2:
        return None
    return list(names) if columns.is_label(first[names.index("label")]) else None


def _json_lines(path: Path, encoding: str | None, notes: list[str]) -> Iterator[Record]:
    with text_file(path, encoding, notes) as file:
        for number, line in file.lines():
            if not line.strip():
                yield Record({}, str(path), number, blank=True)
                continue
            where = f"{path}, line {number}"
            values = parse_json(line, where)
            if not isinstance(values, dict):
                raise SoftPromptError(f"{where}: not a JSON object; write one object a line")
            yield Record(values, str(path), number)
