"""Records into rows: columns to fields, label values to class indices, faults told with their place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from softprompt.errors import SoftPromptError, quoted
from softprompt.files import strict_json
from softprompt.tasks.data import files, held, references
from softprompt.tasks.data.extraction import extracted_row
from softprompt.tasks.data.faults import BadRows, RowFault
from softprompt.tasks.data.labels import is_label
from softprompt.tasks.data.layouts import LAYOUTS
from softprompt.tasks.data.record import Columns, Record
from softprompt.tasks.data.row import Flat, is_skipped, names_of, no_label, raw_label, row_of, texts_by_field, value_of
from softprompt.tasks.data.tagged import tagged_columns, tagged_row
from softprompt.tasks.definition import TaskDefinition
from softprompt.tasks.rows import Row
from softprompt.tasks.values import index_text, plain

_CONTENT = ("label", "choices", "answers", "group")


def columns_of(task: TaskDefinition) -> Columns:
    """What the reader of csv and tsv files needs to know."""
    names = (name for key in (*task.fields, *_CONTENT) for name in names_of(task, key))
    headerless = task.headerless or ("label", *task.fields)
    divider = "||" if task.layout == "e2e" else None  # of Prefix-Tuning's own copy
    return Columns(frozenset((*names, *task.headerless)), headerless, _LabelsOf(task), tagged_columns(task), divider)


@dataclass(frozen=True, slots=True)
class _LabelsOf:
    """Whether a cell is a label value of the task; two of equal tasks are equal."""

    task: TaskDefinition

    def __call__(self, cell: str) -> bool:
        return is_label(self.task, cell)


def has_answer(task: TaskDefinition, record: Record) -> bool:
    """Whether a record carries an answer; published test files often do not."""
    try:
        flat = next(_flat(task, record, BadRows()), None)
        # A record without a row (MRQA's header, a fault) does not tell; what is wrong is told when the rows are read.
        return flat is None or raw_label(task, flat) is not None
    except RowFault:
        return True


def rows_of_records(
    task: TaskDefinition,
    records: Iterable[Record],
    from_one: bool,
    with_labels: bool = True,
    bad: BadRows | None = None,
) -> tuple[list[Row], list[str]]:
    """Rows of a file's records, and notes on rows that were left out or have no text.

    Args:
        task: says which columns and labels there are.
        records: of one file, which are let go one by one.
        from_one: the file's classes count from 1.
        with_labels: labels must be there; without, they are not looked at.
        bad: takes what is wrong with rows; without it that is told here, all at once.

    Raises:
        SoftPromptError: file, line and column of every fault, up to a number; or no row can be used.
    """
    own = BadRows() if bad is None else bad
    rows: list[Row] = []
    counts: Counter[str] = Counter()
    path = ""
    for record in records:
        path = path or record.path
        for made in _made(task, record, own, from_one, with_labels, len(rows)):
            if isinstance(made, str):
                counts[made] += 1
                continue
            if task.blank_text and not any(text.strip() for text in made.fields.values()):
                counts["rows without text kept"] += 1
            rows.append(made)
    if bad is None or not rows:
        own.check()
    if not rows:
        raise _no_row(path)
    name = Path(path).name
    return rows, [f"{name}: {count} {what}" for what, count in counts.items()]


def rows_to_predict(task: TaskDefinition, record: Record) -> list[Row]:
    """The rows of one record without their labels.

    Raises:
        SoftPromptError: what is wrong with it; or it makes none.
    """
    bad = BadRows()
    rows = [made for made in _made(task, record, bad, False, False, 0) if not isinstance(made, str)]
    bad.check()
    if not rows:
        raise _no_row(record.path)
    return rows


def counts_from_one(task: TaskDefinition, records: Iterable[Record]) -> bool:
    """Whether the classes of files that may count from 0 or from 1 count from 1.

    Raises:
        SoftPromptError: the values fit both ways or neither.
    """
    if not task.label_from_one:
        return False
    values, path = set[str](), ""
    for record in records:
        path = path or record.path
        for flat in _flat(task, record, BadRows()):
            with suppress(RowFault):  # told when the rows are made
                raw = raw_label(task, flat)
                values |= set() if raw is None else {index_text(raw)}
    low, high = "0" in values, str(len(task.labels)) in values
    if low and high:
        raise SoftPromptError(f"{path}: labels from 0 to {len(task.labels)} are too many; mend the labels")
    if not low and not high and any(value in task.labels for value in values):
        raise SoftPromptError(
            f"{path}: labels {', '.join(sorted(values))} may count from 0 or from 1; give rows of every class"
        )
    return high


def labelled_rows(
    task: TaskDefinition, path: Path, encoding: str | None, notes: list[str], *, skip_bad: bool = False
) -> list[Row]:
    """All rows of one file with their labels, as they stand; see `Task.labelled_rows`."""
    found = each_of_table(path, columns_of(task), encoding, notes)
    if task.label_from_one:  # which all of them together tell
        found = list(found)
    from_one = counts_from_one(task, found if task.label_from_one else ())
    bad = BadRows(skip=skip_bad, can_skip=True)
    rows, told = rows_of_records(task, found, from_one, bad=bad)
    bad.check()
    rows = references.gathered(task, rows)
    notes += [*told, *references.told(task, path.name, rows), *bad.notes()]
    return rows


def each_of_table(
    path: Path, columns: Columns, encoding: str | None, notes: list[str], *, blanks: bool = False
) -> Iterable[Record]:
    """The records of a file, or of a data set's folder; see `files.each_record`."""
    table = held.one_table(path)
    if table is not None:
        return table.records(columns)
    return files.each_record(path, columns, blanks=blanks, encoding=encoding, notes=notes)


def rows_of_values(
    task: TaskDefinition, values: held.Table | Iterable[str | Mapping[str, object]], origin: str = "rows"
) -> list[Row]:
    """Rows of Python values.

    Raises:
        SoftPromptError: there are none, or one has a fault.
    """
    records: Iterable[Record]
    if held.is_table(values):
        records = held.records_of(values, columns_of(task), origin)
    elif isinstance(values, Iterable) and not isinstance(values, (str, bytes, Mapping)):
        records = (_record_of(task, value, origin, number) for number, value in enumerate(values, 1))
    else:
        raise SoftPromptError(
            f"{origin}: {quoted(values)} is one value; give a list of them, as [{quoted(values, 40)}]"
        )
    bad, rows, record = BadRows(), list[Row](), None
    for record in records:
        made = _made(task, record, bad, False, None, len(rows))
        rows += [row for row in made if not isinstance(row, str)]
    if record is None:
        raise SoftPromptError(f"{origin}: no rows; give at least one text")
    bad.check()
    return rows


def _record_of(task: TaskDefinition, value: object, origin: str, number: int) -> Record:
    if isinstance(value, str):
        if len(task.fields) != 1:
            raise SoftPromptError(
                f"{origin}, line {number}: a plain text, but task {task.name!r} has the fields "
                f"{', '.join(map(repr, task.fields))}; give them by name, as columns of a table, as JSON, "
                f"{strict_json.dumps(dict.fromkeys(task.fields, '...'), indent=None)}, or by predict's --field"
            )
        return Record({task.fields[0]: value}, origin, number)
    if not isinstance(value, Mapping):
        raise SoftPromptError(f"{origin}, line {number}: {quoted(value)} is no text, and no mapping of texts by field")
    return Record({key: plain(cell) for key, cell in value.items()}, origin, number)


# -- one record ------------------------------------------------------------------------------------------


def _flat(task: TaskDefinition, record: Record, bad: BadRows) -> Iterator[Flat]:
    try:
        yield from LAYOUTS[task.layout](record.values)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        what = f"{error.args[0]!r} is missing or has another value" if isinstance(error, KeyError) else str(error)
        bad.add(record, RowFault(f"not in the layout of {task.name}: {what}"))


def questions_of(task: TaskDefinition, record: Record) -> list[Record]:
    """A record of SQuAD's or MRQA's own file as one for each of its questions; any other as it is."""
    if task.layout not in ("squad", "mrqa") or record.blank:
        return [record]
    bad = BadRows()
    found = [Record(flat, record.path, record.line) for flat in _flat(task, record, bad)]
    bad.check()
    return found


def _made(
    task: TaskDefinition, record: Record, bad: BadRows, from_one: bool, with_labels: bool | None, index: int
) -> Iterator[Row | str]:
    """The rows of a record from an index on, and why others are left out as the task says; what is wrong goes to `bad`.

    With `with_labels` None a label is read where there is one.
    """
    for flat in _flat(task, record, bad):
        try:
            labelled = raw_label(task, flat) is not None if with_labels is None else with_labels
            made = _row(task, flat, record, from_one, labelled, index)
        except (RowFault, SoftPromptError) as fault:
            bad.add(record, fault)
            continue
        index += not isinstance(made, str)
        yield made


def _no_row(path: str) -> SoftPromptError:
    return SoftPromptError(f"{path}: no row of the file can be used; check its labels and columns")


def without_text(task: TaskDefinition, record: Record) -> bool:
    """Whether a record has the columns of the fields, and nothing in them."""
    for flat in _flat(task, record, BadRows()):
        for key in task.fields:
            there = any(name in flat for name in names_of(task, key))
            value = value_of(task, flat, key)
            empty = value in (None, []) if task.kind == "tags" else value is None
            if not there or not (empty or (isinstance(value, str) and not value.strip())):
                return False
    return True


def _row(task: TaskDefinition, flat: Flat, record: Record, from_one: bool, with_labels: bool, index: int) -> Row | str:
    """The row, or why it is left out as the task says.

    Raises:
        RowFault: it cannot be used.
    """
    if with_labels and is_skipped(task, flat):
        return "rows without an agreed label left out"
    raw = raw_label(task, flat) if with_labels else None
    if task.kind == "tags":
        if with_labels and raw is None:
            raise no_label(task, flat)
        return tagged_row(task, flat, raw, record, index)
    texts = texts_by_field(task, flat, record.place)
    if texts is None or (with_labels and raw is None and task.skip_incomplete):
        return "rows with missing columns left out"
    if with_labels and raw is None:
        raise no_label(task, flat)
    if task.kind == "extraction":
        place = flat.get("answer_start", value_of(task, flat, "answers"))
        return replace(extracted_row(texts, raw, place, index), file=record.path, line=record.line)
    return row_of(task, texts, flat, raw, from_one, record, index)
