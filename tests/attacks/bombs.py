"""Small inputs that cost much: everything that is parsed from a user, each in a process of its own that is measured."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq

import softprompt as sp
from softprompt.errors import SoftPromptError
from softprompt.tasks import Template
from softprompt.training.adaptation.texts import read_texts

from ..shared.commands import woken

TITLE = "bombs"
PROMISE = (
    "what would cost more than it is long is refused in one line that names the limit, in under a second of computing "
    "and within 200 MB; what is ordinary but long is read"
)
TESTS = ["tests/attacks/test_bombs.py"]
SECONDS, MEGABYTES = 1.0, 200

TASK = sp.Task(template="{text} It was {mask}", labels={"0": "bad", "1": "good"})
MILLION = 10**6


def _laughs() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    return "\n".join(lines)


_YAML: dict[str, Callable[[], str]] = {
    "aliases that multiply": _laughs,
    "a list in itself": lambda: "labels: &a [*a, *a]",
    "a mapping in itself": lambda: "labels: &a {b: *a}",
    "merges that multiply": lambda: _laughs() + "\nz: {<<: [*a29, *a29]}",
    "10,000 lists deep": lambda: "labels: " + "[" * 10_000 + "]" * 10_000,
    "10,000 mappings deep": lambda: "{a: " * 10_000 + "}" * 10_000,
    "10,000 indents deep": lambda: "- " * 10_000 + "a",
    "a key of 100,000": lambda: "? " + "k" * 100_000 + "\n: 1",
    "a key twice": lambda: "template: '{text}'\nlabels: [a, b]\ntemplate: '{text} {mask}'",
    "a number of 5,000 digits": lambda: "bounds: [0, " + "9" * 5_000 + "]",
    "a number in base 60": lambda: "bounds: [0, 1" + ":59" * 300_000 + "]",
    "a float of a million digits": lambda: "bounds: [0, 1." + "9" * 900_000 + "]",
    "a million labels": lambda: "labels: [" + ", ".join(map(str, range(MILLION))) + "]",
    "50,000 labels": lambda: "template: '{text}'\nlabels: [" + ", ".join(map(str, range(49_000))) + "]",
    "100 MB": lambda: "a: b\n" * 20 * MILLION,
    "a Python object": lambda: "template: !!python/object/apply:os.system ['true']",
    "a date that is none": lambda: "bounds: [0, 2020-13-45]",
    "a template of a million braces": lambda: "labels: [a, b]\ntemplate: '" + "{" * 900_000 + "'",
    "a description of half a surrogate pair": lambda: 'description: "\\ud83d"',
}
_TEMPLATES: dict[str, Callable[[], str]] = {
    "a million braces": lambda: "{" * MILLION,
    "a million escaped braces": lambda: "{{" * (MILLION // 2),
    "a million closing braces": lambda: "}" * MILLION,
    "a million fields": lambda: "{a}" * MILLION,
    "30,000 fields": lambda: "{a}" * 30_000,
    "a name of a million": lambda: "{" + "a" * MILLION + "}",
    "a count of a million digits": lambda: "{prompt:" + "9" * 90_000 + "}",
    "braces in braces": lambda: "{" * 40_001 + "a" + "}" * 40_000,
    "half a surrogate pair": lambda: "{text} \ud83d",
}
_DEEP = 100_000
_JSON: dict[str, Callable[[], str]] = {
    "100,000 lists deep": lambda: '{"text": ' + "[" * _DEEP + "]" * _DEEP + "}",
    "100,000 objects deep": lambda: '{"a":' * _DEEP + "1" + "}" * _DEEP,
    "never closed": lambda: "[" * _DEEP,
    "a million lists": lambda: '{"text": [' + "[]," * MILLION + "[]]}",
    "a million digits": lambda: '{"text": "a", "label": ' + "1" * MILLION + "}",
    "a string of 10 MB": lambda: '{"text": "' + "a" * (10 * MILLION) + '", "label": "0"}',
    "a string of 3 MB": lambda: '{"text": "' + "a" * (3 * MILLION) + '", "label": "0"}',
    "a key twice": lambda: '{"text": "a", "text": "b", "label": "0"}',
    "the last of 200,000 keys twice": lambda: "{" + "".join(f'"{key:x}":1,' for key in range(200_000)) + '"30d3f":1}',
    "NaN": lambda: '{"text": NaN, "label": "0"}',
    "a number beyond all": lambda: '{"text": 1e999, "label": "0"}',
    "half a surrogate pair": lambda: '{"text": "\\ud83d", "label": "0"}',
    "a label of 5,000 digits": lambda: '{"text": "a", "label": "' + "1" * 5_000 + '"}',
    "a string never closed": lambda: '{"text": "' + '\\"[' * MILLION,
}
_CSV: dict[str, Callable[[], str]] = {
    "a field of 100 MB": lambda: "text,label\n" + "a" * (100 * MILLION) + ",0\n",
    "a quoted field of 100 MB": lambda: 'text,label\n"' + "a\n" * (50 * MILLION) + '",0\n',
    "a quote never closed": lambda: 'text,label\n"' + "a,0\n" * MILLION,
    "a million columns": lambda: "text,label\n" + "a," * MILLION + "\n",
    "a column twice": lambda: "text,text,label\na,b,0\n",
}
_TSV: dict[str, Callable[[], str]] = {
    "an endless line": lambda: "text\tlabel\n" + "a" * (100 * MILLION),
    "an endless header": lambda: "a\t" * (50 * MILLION),
    "a text of 3 MB": lambda: "text\tlabel\n" + "a" * (3 * MILLION) + "\t0\n",
    "a million quotes": lambda: "text\tlabel\n" + '"' * (3 * MILLION + 1) + "\t0\n",
}
_TXT: dict[str, Callable[[], str]] = {"an endless line": lambda: "a" * (100 * MILLION)}


def _same(count: int, text: str) -> pa.Table:
    return pa.table({"text": pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), [text])})


def _nested(depth: int) -> pa.Table:
    column = pa.array([1])
    for _ in range(depth):
        column = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), column)
    return pa.table({"text": column})


_PARQUET: dict[str, Callable[[], pa.Table]] = {
    "the same row 3 million times": lambda: _same(3 * MILLION, "a"),
    "the same 3 MB 20,000 times": lambda: _same(20_000, "a" * 3 * MILLION),
    "150 MB of one letter": lambda: pa.table({"text": ["a" * 150 * MILLION]}),
    "150 lists deep": lambda: _nested(150),
}


_GZIP: dict[str, Callable[[], str]] = {
    "an endless line": lambda: "a" * (100 * MILLION),
    "50 million lines": lambda: "text\n" + "a\n" * (50 * MILLION),
}
_ARROW: dict[str, Callable[[], pa.Table]] = {
    "150 MB of one letter": lambda: pa.table({"text": ["a" * 150 * MILLION]}),
    "a million rows of nothing": lambda: pa.table({"text": pa.nulls(MILLION)}),
    "the same 3 MB 20,000 times": lambda: _same(20_000, "a" * 3 * MILLION),
}


def _file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def _parquet(folder: Path, table: pa.Table) -> Path:
    path = folder / "rows.parquet"
    pq.write_table(table, path, compression="zstd")
    return path


def _packed(folder: Path, text: str) -> Path:
    path = folder / "rows.csv.gz"
    path.write_bytes(gzip.compress(text.encode(), 1))
    return path


def _arrow(folder: Path, table: pa.Table) -> Path:
    path = folder / "rows.feather"
    feather.write_feather(table, path, compression="zstd")
    return path


Try = Callable[[], Any]


def bombs(folder: Path) -> dict[str, Callable[[], Try]]:
    """For each bomb what makes it, outside what is measured, and gives the call that must refuse it."""

    def of_file(name: str, make: Callable[[], str], call: Callable[[Path], Any]) -> Callable[[], Try]:
        def made() -> Try:
            path = _file(folder, name, make())
            return lambda: call(path)

        return made

    def of_value(make: Callable[[], Any], call: Callable[[Any], Any]) -> Callable[[], Try]:
        def made() -> Try:
            value = make()
            return lambda: call(value)

        return made

    rows = TASK.rows_from

    def whole(path: Path) -> Any:
        return TASK.with_data(path).splits()

    found = {f"YAML: {name}": of_file("task.yaml", make, sp.Task.load) for name, make in _YAML.items()}
    found |= {f"template: {name}": of_value(make, Template.parse) for name, make in _TEMPLATES.items()}
    found |= {f"jsonl: {name}": of_file("rows.jsonl", make, whole) for name, make in _JSON.items()}
    found |= {f"csv: {name}": of_file("rows.csv", make, rows) for name, make in _CSV.items()}
    found |= {f"tsv: {name}": of_file("rows.tsv", make, rows) for name, make in _TSV.items()}
    found |= {f"txt: {name}": of_file("rows.txt", make, rows) for name, make in _TXT.items()}
    found |= {f"corpus: {name}": of_file("rows.txt", make, read_texts) for name, make in _TXT.items()}
    found |= {
        f"parquet: {name}": of_value(lambda make=make: _parquet(folder, make()), rows)  # type: ignore[misc]
        for name, make in _PARQUET.items()
    }
    found |= {
        f"gzip: {name}": of_value(lambda make=make: _packed(folder, make()), rows) for name, make in _GZIP.items()
    }  # type: ignore[misc]
    found |= {
        f"arrow: {name}": of_value(lambda make=make: _arrow(folder, make()), rows) for name, make in _ARROW.items()
    }  # type: ignore[misc]
    return found | {
        "Python: a text of 10 MB": of_value(lambda: ["a" * 10 * MILLION], TASK.rows_of),
        "Python: half a surrogate pair": of_value(lambda: ["a \ud83d"], TASK.rows_of),
        "Python: a label of 5,000 digits": of_value(lambda: [{"text": "a", "label": 10**5000}], TASK.rows_of),
        "Python: no text": of_value(lambda: [None], TASK.rows_of),
        "Python: a million labels": of_value(
            lambda: list(map(str, range(MILLION))), lambda labels: sp.Task(template="{text}", labels=labels)
        ),
        "Python: an option of 5,000 digits": of_value(
            lambda: 10**5000, lambda number: sp.method("prompt_tuning", num_virtual_tokens=number)
        ),
    }


# Ordinary things that are long.
def _long_rows(folder: Path) -> Try:
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        for place in range(20_000):
            file.write(json.dumps({"text": f"row {place} " + "word " * 50, "label": str(place % 2)}) + "\n")
    return lambda: TASK.with_data(folder / "rows.jsonl").splits()


def ordinary(folder: Path) -> dict[str, Callable[[], Try]]:
    """Long things that must be read."""
    megabyte = "some words of a text " * 48_000
    return {
        "20,000 rows": lambda: _long_rows(folder),
        "a text of 1 MB": lambda: lambda: TASK.rows_of([megabyte]),
        "a text of 1 MB in a csv": lambda: (
            path := _file(folder, "rows.csv", f'text,label\n"{megabyte}",0\n'),
            lambda: TASK.rows_from(path),
        )[1],
        "a text of brackets": lambda: (
            path := _file(folder, "rows.jsonl", json.dumps({"text": "[{" * 200_000, "label": "0"}) + "\n"),
            lambda: TASK.rows_from(path),
        )[1],
        "1,000 labels": lambda: lambda: sp.Task(template="{text}", labels=[f"l{n}" for n in range(1_000)]),
        "100,000 rows of parquet": lambda: (
            path := _parquet(folder, pa.table({"text": [f"row {n} of a file" for n in range(100_000)]})),
            lambda: TASK.rows_from(path),
        )[1],
    }


def refusal(call: Try) -> tuple[BaseException | None, float]:
    """What a call raised, and the seconds it computed."""
    begun = time.process_time()
    try:
        with woken():
            call()
    except BaseException as error:
        return error, time.process_time() - begun
    return None, time.process_time() - begun


def _measured(make: Callable[[], Try]) -> tuple[str, float, int]:
    """A call in a process of its own: `refused`, `read` or what it raised, seconds, and megabytes that it took."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        call = make()
        before = _megabytes(reset=True)
        error, seconds = refusal(call)
        how = "refused" if isinstance(error, SoftPromptError) else "read" if error is None else repr(error)[:200]
        os.write(writing, json.dumps([how, seconds, _megabytes() - before]).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        told = stream.read()
    os.waitpid(child, 0)
    how, seconds, megabytes = json.loads(told or '["died", 0, 0]')
    return how, seconds, megabytes


def _megabytes(reset: bool = False) -> int:
    """The most memory of this process since the last reset, on Linux."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    words = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()
    return int(words[0]) >> 10


def measure(tick: Callable[..., None]) -> dict[str, int]:
    """Every bomb, and every ordinary thing that is long."""
    counts: Counter[str] = Counter(dict.fromkeys(_COUNTS, 0))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for make in bombs(folder).values():
            how, seconds, megabytes = _measured(make)
            counts["bombs"] += 1
            counts["refused in one line"] += how == "refused"
            counts["tracebacks"] += how not in ("refused", "read")
            counts["over a second"] += seconds > SECONDS
            counts["over 200 MB"] += megabytes > MEGABYTES
            tick()
        for make in ordinary(folder).values():
            how, _, _ = _measured(make)
            counts["ordinary long things"] += 1
            counts["ordinary long things read"] += how == "read"
            tick()
    return dict(counts)


_COUNTS = (
    "bombs",
    "refused in one line",
    "tracebacks",
    "over a second",
    "over 200 MB",
    "ordinary long things",
    "ordinary long things read",
)
