"""Text files without a header whose columns stand apart by a divider, as ``meaning||wording`` of E2E's copies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from softprompt.errors import SoftPromptError
from softprompt.tasks.data.lines import text_file, without_end
from softprompt.tasks.data.record import Record
from softprompt.tasks.values import listed


def divided_records(
    path: Path, names: Sequence[str], divider: str, encoding: str | None, notes: list[str]
) -> Iterator[Record]:
    """The lines of a file as records; the last columns may be absent.

    Args:
        path: of the file.
        names: of its columns.
        divider: stands between them.
        encoding: as for `each_record`.
        notes: likewise.

    Raises:
        SoftPromptError: more columns in a line than there are names.
    """
    with text_file(path, encoding, notes) as file:
        for number, whole in file.lines():
            cells = [cell.strip() for cell in without_end(whole).split(divider)]
            if len(cells) > len(names):
                raise SoftPromptError(
                    f"{path}, line {number}: {divider!r} stands {len(cells) - 1} times, where it parts "
                    f"{listed(tuple(names))}: take it out of the texts"
                )
            yield Record(dict(zip(names, cells, strict=False)), str(path), number, blank=not any(cells))
