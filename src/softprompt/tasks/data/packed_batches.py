"""What the batches of an arrow file unpack to, read off their headers: nothing is unpacked to know it.

A batch that is packed has its buffers' sizes in front of each (https://arrow.apache.org/docs/format/Columnar.html,
"Compression"); where the buffers are, its header says, which is a flatbuffer.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa

# Fields of a message, of a dictionary's batch, and of a batch.
_HEADER, _DATA, _LENGTH, _BUFFERS, _COMPRESSION = 2, 1, 0, 2, 3


class Size(NamedTuple):
    """What a batch unpacks to: bytes, and rows, of which a dictionary has none."""

    bytes: int
    rows: int


def unpacked_sizes(source: pa.NativeFile) -> Iterator[Size]:
    """The size of each batch of a stream, from where it is read next; those of dictionaries among them.

    Raises:
        pa.ArrowInvalid: a header that is none.
    """
    for message in pa.ipc.MessageReader.open_stream(source):
        if message.type in ("record batch", "dictionary"):
            try:
                yield _size(message)
            except struct.error:
                raise pa.ArrowInvalid("a batch that ends before its buffers") from None


def _size(message: pa.Message) -> Size:
    header, body = message.metadata.to_pybytes(), message.body
    batch, rows = _below(header, _field(header, _below(header, 0), _HEADER)), 0
    if message.type == "dictionary":
        batch = _below(header, _field(header, batch, _DATA))
    elif length := _field(header, batch, _LENGTH):
        (rows,) = struct.unpack_from("<q", header, length)
    if not _field(header, batch, _COMPRESSION):
        return Size(int(body.size), rows)
    buffers = _below(header, _field(header, batch, _BUFFERS))
    (count,) = struct.unpack_from("<I", header, buffers)
    total = 0
    for place in range(count):
        start, length = struct.unpack_from("<qq", header, buffers + 4 + 16 * place)
        if length > 0:
            (size,) = struct.unpack_from("<q", body, start)
            total += length if size < 0 else size  # -1: this one is not packed
    return Size(total, rows)


def _field(data: bytes, table: int, number: int) -> int:
    """Where a field of a table is, 0 where it is left out."""
    places = table - struct.unpack_from("<i", data, table)[0]
    (size,) = struct.unpack_from("<H", data, places)
    place = 4 + 2 * number
    offset = struct.unpack_from("<H", data, places + place)[0] if place < size else 0
    return table + offset if offset else 0


def _below(data: bytes, place: int) -> int:
    """Where a table or list is that a place refers to."""
    return place + int(struct.unpack_from("<I", data, place)[0])
