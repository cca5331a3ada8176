"""The JSON files of a run's training state, each with its own checksum."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from softprompt.errors import SoftPromptError
from softprompt.files.documents import read_record
from softprompt.files.manifest import sealed
from softprompt.files.whole import write_json
from softprompt.training.fitting.checkpoint import set_aside


class Records:
    """JSON objects by name.

    Args:
        folder: of the state.
        say: told of a damaged file, which is set aside so that it is made again.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        """See the class."""
        self.folder, self.say = folder, say

    def read(self, name: str) -> dict[str, Any] | None:
        """A record; None where there is none, or a damaged one."""
        path = self.folder / f"{name}.json"
        if not path.exists():
            return None
        try:
            return read_record(path)
        except SoftPromptError as error:
            self.say(f"{error}; kept as {set_aside(path).name}, and made again")
            return None

    def write(self, name: str, value: dict[str, Any]) -> dict[str, Any]:
        """Write a record, and read it back: a resumed run and a straight one see the same types."""
        path = self.folder / f"{name}.json"
        write_json(path, sealed(value))
        return read_record(path)

    def loop(
        self, name: str, rounds: int, start: dict[str, Any], check: Callable[[str], None], tick: Callable[..., None]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Rounds whose state is written after each; a loop in hand goes on with the next. See `Work.loop`.

        Args:
            name: of the record, which holds `done`, `seconds` and `state`.
            rounds: how many.
            start: the state before the first.
            check: called before every round; it may raise.
            tick: told of every round.
        """
        begun = time.monotonic()
        saved = self.read(name) or self.write(name, {"done": 0, "seconds": 0.0, "state": start})
        before, state = saved["seconds"], saved["state"]
        tick(saved["done"], total=rounds)
        for index in range(saved["done"], rounds):
            check(f"after round {index}")
            yield index, state
            self.write(name, {"done": index + 1, "seconds": before + time.monotonic() - begun, "state": state})
            tick(1, note=state.get("note"))
