"""The reading of a big file is shown to whoever watches: all of it, in order, and of a small one nothing."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from softprompt.tasks.data import watching
from softprompt.tasks.data.watching import watching as watch

from ...shared.tables import REVIEWS

ROWS = 12_000
TABLE = pa.table(
    {"text": [f"text {n} " + "of words " * 40 for n in range(ROWS)], "label": [n % 2 for n in range(ROWS)]}
)
WRITERS: dict[str, Callable[[Path], object]] = {
    "rows.csv": lambda path: TABLE.to_pandas().to_csv(path, index=False),
    "rows.tsv": lambda path: TABLE.to_pandas().to_csv(path, index=False, sep="\t"),
    "rows.jsonl": lambda path: TABLE.to_pandas().to_json(path, orient="records", lines=True),
    "rows.parquet": lambda path: pq.write_table(TABLE, path),
    "rows.feather": lambda path: feather.write_feather(TABLE, path),
}


class Watch:
    """What was shown."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.done = self.total = 0

    @contextmanager
    def work(self, name: str, total: int, unit: str) -> Iterator[Callable[..., None]]:
        self.told.append((name, unit))
        self.done, self.total = 0, total

        def tick(done: int = 1, note: str | None = None, total: int | None = None) -> None:
            self.done += done
            self.total = self.total if total is None else total
            assert 0 <= self.done <= self.total

        yield tick


@pytest.mark.parametrize("name", WRITERS)
def test_a_big_file_is_shown_to_its_end(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "BIG", 1)
    WRITERS[name](tmp_path / name)
    seen = Watch()
    with watch(seen.work):
        assert len(REVIEWS.labelled_rows(tmp_path / name)) == ROWS
    assert seen.told == [(f"reading {name}", "rows" if name.endswith(("parquet", "feather")) else "MB")]
    assert seen.done == seen.total > 0


def test_small_files_and_files_that_nobody_watches_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, seen = tmp_path / "rows.csv.gz", Watch()
    path.write_bytes(gzip.compress(b"text,label\ngood,1\n"))
    with watch(seen.work):
        REVIEWS.labelled_rows(path)
        monkeypatch.setattr(watching, "BIG", 1)
        with watch(None):
            REVIEWS.labelled_rows(path)
    REVIEWS.labelled_rows(path)
    assert not seen.told
