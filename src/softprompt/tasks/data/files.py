"""Records of local files: csv, tsv, jsonl, text and CoNLL's (packed by gzip or not), parquet, arrow and Excel's."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from softprompt.errors import SoftPromptError
from softprompt.guards import limits
from softprompt.guards.documents import parse_json
from softprompt.guards.paths import check_file
from softprompt.tasks.data.arrow import ipc_records, parquet_records
from softprompt.tasks.data.conll import CONLL_ENDINGS, is_conll, sentences
from softprompt.tasks.data.excel import sheet_rows
from softprompt.tasks.data.json_file import each_object
from softprompt.tasks.data.lines import PACKED, TextFile, text_file, without_end
from softprompt.tasks.data.quoting import is_quoted
from softprompt.tasks.data.record import Columns, Record, TaggedColumns
from softprompt.tasks.values import label_text, meant

_LINES = (".tsv", ".csv", ".jsonl", ".txt")
# A folder's files of the first line are looked for before those of the others.
ENDINGS = (".tsv", ".csv", ".jsonl", ".parquet", ".txt")
OTHER_ENDINGS = (
    *(".json", ".arrow", ".feather", ".xlsx", *CONLL_ENDINGS),
    *(ending + PACKED for ending in (*_LINES, *CONLL_ENDINGS)),
)
_PHYSICAL = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")


def ending_of(path: Path) -> str:
    """What a file's name says of its format, in small letters: ``.csv``, or ``.csv.gz`` where it is packed."""
    name = path.name.lower()
    packed = PACKED if name.endswith(PACKED) else ""
    return Path(name.removesuffix(packed)).suffix + packed


def stem_of(path: Path) -> str:
    """A file's name without `ending_of`."""
    return path.name[: len(path.name) - len(ending_of(path))]


def read_records(path: Path, columns: Columns) -> list[Record]:
    """The records of a file.

    Tab-separated files are read without quoting, as GLUE's are, but for those that are properly quoted throughout.

    Raises:
        SoftPromptError: the file cannot be read, is empty, is of an encoding that is not known, or has a row of
            another width.
    """
    return list(each_record(path, columns))


def each_record(
    path: Path, columns: Columns, *, blanks: bool = False, notes: list[str] | None = None
) -> Iterator[Record]:
    """The records of a file one by one; see `read_records`.

    Args:
        path: of the file.
        columns: what the task looks for.
        blanks: give blank lines, too.
        notes: takes what a reader of results should know of how the file was read.
    """
    ending = ending_of(path)
    tagged = _is_tagged(path, ending, columns)
    if not tagged and ending not in (*ENDINGS, *OTHER_ENDINGS):
        known = ", ".join((*ENDINGS, *OTHER_ENDINGS))
        raise SoftPromptError(f"{path}: files that end in {ending!r} are not read; use {known}")
    check_file(path)
    empty = True
    own = [] if notes is None else notes
    found = _sentences(path, columns, own) if tagged else _records(path, ending.removesuffix(PACKED), columns, own)
    for record in found:
        empty = empty and record.blank
        if blanks or not record.blank:
            yield record
    if empty:
        raise SoftPromptError(f"{path}: the file has no rows; give one row a line")


def _is_tagged(path: Path, ending: str, columns: Columns) -> bool:
    """Whether a file has a word a line: as its name says, or as a text file of a task with tags may."""
    if ending.removesuffix(PACKED) in CONLL_ENDINGS:
        return True
    lined = ending.removesuffix(PACKED) in (".txt", ".tsv") or ending not in (*ENDINGS, *OTHER_ENDINGS)
    if columns.tagged is None or not lined:
        return False
    return columns.tagged.always or is_conll(path, columns.is_label)


def _sentences(path: Path, columns: Columns, notes: list[str]) -> Iterator[Record]:
    with text_file(path) as file:
        notes += file.notes
        yield from sentences(file, columns.tagged or TaggedColumns(), columns.is_label)


def _records(path: Path, ending: str, columns: Columns, notes: list[str]) -> Iterator[Record]:
    if ending == ".parquet":
        return parquet_records(path, columns)
    if ending in (".arrow", ".feather"):
        return ipc_records(path, columns)
    if ending == ".json":
        return (Record(values, str(path), number) for number, values in each_object(path))
    if ending == ".xlsx":
        return _table(path, sheet_rows(path, notes), columns)
    return _of_text(path, ending, columns, notes)


def _of_text(path: Path, ending: str, columns: Columns, notes: list[str]) -> Iterator[Record]:
    with text_file(path) as file:
        notes += file.notes
        if ending == ".jsonl":
            yield from _jsonl(file)
        else:
            yield from _table(path, _csv(file) if ending == ".csv" else _tsv(file), columns)


def _tsv(file: TextFile) -> Iterator[tuple[int, list[str]]]:
    if is_quoted(file):
        yield from _csv(file, "\t")
        return
    for number, whole in file.lines():
        line = without_end(whole)
        yield number, line.split("\t") if line.strip(" ") else []


def _csv(file: TextFile, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    path, limit = file.path, csv.field_size_limit(limits.TEXT)
    reader = csv.reader(_physical(file), strict=True, delimiter=delimiter)
    begun = 1
    try:
        for cells in reader:
            yield reader.line_num, cells
            begun = reader.line_num + 1
    except csv.Error as error:
        where = f"{path}, line {reader.line_num}"
        if "field larger" in str(error):
            where, what = f"{path}, line {begun}", f"a text of more than {limits.TEXT:,} characters"
            raise SoftPromptError(f"{where}: {what}, the most there may be; is a quote never closed?") from None
        since = f" in the row that begins in line {begun}" if begun < reader.line_num else ""
        raise SoftPromptError(
            f"{where}: not proper csv ({error}{since}); put texts in double quotes and double the quotes inside"
        ) from None
    finally:
        csv.field_size_limit(limit)


def _physical(file: TextFile) -> Iterator[str]:
    """Lines with their ends, as `csv` wants them: a carriage return alone ends one, too."""
    for _, line in file.lines():
        yield from _PHYSICAL.findall(line) if "\r" in line else (line,)


def _table(path: Path, rows: Iterable[tuple[int, Sequence[object]]], columns: Columns) -> Iterator[Record]:
    rows = iter(rows)
    number, begin = next(((number, cells) for number, cells in rows if cells), (0, []))
    if not begin:
        return
    first = ["" if cell is None else label_text(cell) for cell in begin]
    names = _headerless(first, columns)
    if names is None:
        names = first
        twice = next((name for name in names if name in columns.known and names.count(name) > 1), None)
        if twice is not None:
            raise SoftPromptError(f"{path}, line {number}: column {twice!r} stands twice; keep one")
        if not columns.known & set(names):
            near = [one for one in (meant(name, names) for name in sorted(columns.known)) if one is not None]
            hint = f" (did you mean {near[0]!r}?); rename it, or name it in the task's columns" if near else ""
            raise SoftPromptError(
                f"{path}, line {number}: no header with a column of the task; it looks for "
                f"{', '.join(map(repr, sorted(columns.known)))}, and found {', '.join(map(repr, names[:8]))}{hint}"
            )
    else:
        yield _record(path, number, names, begin)
    for number, cells in rows:
        yield _record(path, number, names, cells) if cells else Record({}, str(path), number, blank=True)


def _headerless(first: list[str], columns: Columns) -> list[str] | None:
    """The columns' names where the first line is a row already, else None."""
    names = columns.headerless[: len(first)]
    if len(names) < len(first) or "label" not in names or len(first) < 2:
        return None
    return list(names) if columns.is_label(first[names.index("label")]) else None


def _record(path: Path, number: int, names: list[str], cells: Sequence[object]) -> Record:
    if len(cells) > len(names):
        raise SoftPromptError(
            f"{path}, line {number}: {len(cells)} columns where the file has {len(names)}; "
            f"{'put texts in double quotes' if ending_of(path).startswith('.csv') else 'take tabs out of the texts'}"
        )
    return Record(dict(zip(names, cells, strict=False)), str(path), number)


def _jsonl(file: TextFile) -> Iterator[Record]:
    path = file.path
    for number, line in file.lines():
        if not line.strip():
            yield Record({}, str(path), number, blank=True)
            continue
        where = f"{path}, line {number}"
        values = parse_json(line, where)
        if not isinstance(values, dict):
            raise SoftPromptError(f"{where}: not a JSON object; write one object a line")
        yield Record(values, str(path), number)
