"""What the batches of an arrow file unpack to, read off their headers: nothing is unpacked to know it.

A batch that is packed has its buffers' sizes in front of each (https://arrow.apache.org/docs/format/Columnar.html,
"Compression"); where the buffers are, its header says, which is a flatbuffer.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pyarrow as pa

_HEADER, _DATA, _BUFFERS, _COMPRESSION = 2, 1, 2, 3  # fields of a message, a dictionary's batch, and twice of a batch


def unpacked_sizes(source: pa.NativeFile) -> Iterator[int]:
    """The bytes of each batch of a stream, from where it is read next; those of dictionaries among them.

    Raises:
        pa.ArrowInvalid: a header that is none.
    """
    for message in pa.ipc.MessageReader.open_stream(source):
        if message.type in ("record batch", "dictionary"):
            try:
                yield _size(message)
            except struct.error:
                raise pa.ArrowInvalid("a batch that ends before its buffers") from None


def _size(message: pa.Message) -> int:
    header, body = message.metadata.to_pybytes(), message.body
    batch = _below(header, _field(header, _below(header, 0), _HEADER))
    if message.type == "dictionary":
        batch = _below(header, _field(header, batch, _DATA))
    if not _field(header, batch, _COMPRESSION):
        return int(body.size)
    buffers = _below(header, _field(header, batch, _BUFFERS))
    (count,) = struct.unpack_from("<I", header, buffers)
    total = 0
    for place in range(count):
        start, length = struct.unpack_from("<qq", header, buffers + 4 + 16 * place)
        if length > 0:
            (size,) = struct.unpack_from("<q", body, start)
            total += length if size < 0 else size  # -1: this one is not packed
    return total


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
