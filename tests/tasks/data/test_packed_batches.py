"""Sizes of an arrow file's batches before they are unpacked are those that they have afterwards."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks.data.packed_batches import Size, unpacked_sizes

from ...shared.tables import REVIEWS

TABLE = pa.table({"text": ["a text of some length"] * 3_000, "label": [0, 1, 2] * 1_000})


def sizes(path: Path) -> list[Size]:
    with pa.memory_map(str(path)) as source:
        source.seek(8)
        return list(unpacked_sizes(source))


@pytest.mark.parametrize("compression", ["uncompressed", "lz4", "zstd"])
@pytest.mark.parametrize("categories", [False, True])
def test_sizes_are_known_before(compression: str, categories: bool, tmp_path: Path) -> None:
    table = TABLE.set_column(0, "text", TABLE["text"].combine_chunks().dictionary_encode()) if categories else TABLE
    feather.write_feather(table, tmp_path / "rows.feather", compression=compression, chunksize=1_000)
    found = sizes(tmp_path / "rows.feather")
    assert len(found) == 3 + categories
    assert sum(size.bytes for size in found) == pytest.approx(table.nbytes, rel=0.02)
    assert sum(size.rows for size in found) == 3_000


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_what_would_unpack_to_too_much_is_refused(compression: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.feather"
    feather.write_feather(pa.table({"text": ["a" * 60_000_000], "label": [1]}), path, compression=compression)
    with pytest.raises(SoftPromptError, match="its batches would unpack to more than 8,388,608 bytes"):
        REVIEWS.rows_from(path)


def test_rows_without_bytes_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "rows.arrow"
    feather.write_feather(pa.table({"text": pa.nulls(600_000), "label": pa.nulls(600_000)}), path)
    with pytest.raises(SoftPromptError, match="its rows would unpack to more than 500,000 rows"):
        REVIEWS.rows_from(path)
