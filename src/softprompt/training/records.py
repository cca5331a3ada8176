"""The JSON files of a run's training state, each with its own checksum."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypedDict, TypeVar, cast

from pydantic import JsonValue

from softprompt.errors import SoftPromptError
from softprompt.files.documents import read_record
from softprompt.files.manifest import sealed
from softprompt.files.whole import write_json
from softprompt.ranks import here
from softprompt.training.fitting.checkpoint import set_aside

_State = TypeVar("_State", bound=Mapping[str, object])


class LoopRecord(TypedDict):
    """The record of a loop: rounds done, seconds over interruptions, and the state after the last of them."""

    done: int
    seconds: float
    state: dict[str, JsonValue]


class Records:
    """JSON objects by name.

    Args:
        folder: of the state.
        say: told of a damaged file, which is set aside so that it is made again.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        """See the class."""
        self.folder, self.say = folder, say

    def read(self, name: str) -> dict[str, JsonValue] | None:
        """A record; None where there is none, or a damaged one."""
        return here().first(lambda: self._read(self.folder / f"{name}.json"))

    def write(self, name: str, value: Mapping[str, object]) -> dict[str, JsonValue]:
        """Write a record, and read it back: a resumed run and a straight one see the same types."""
        path = self.folder / f"{name}.json"

        def written() -> dict[str, JsonValue]:
            write_json(path, sealed(dict(value)))
            return read_record(path)

        return here().first(written)

    def _read(self, path: Path) -> dict[str, JsonValue] | None:
        if not path.exists():
            return None
        try:
            return read_record(path)
        except SoftPromptError as error:
            self.say(f"{error}; kept as {set_aside(path).name}, and made again")
            return None

    def loop(
        self, name: str, rounds: int, start: _State, check: Callable[[str], None], tick: Callable[..., None]
    ) -> Iterator[tuple[int, _State]]:
        """Rounds whose state is written after each; a loop in hand goes on with the next. See `Work.loop`.

        Args:
            name: of the record, which holds `done`, `seconds` and `state`.
            rounds: how many.
            start: the state before the first.
            check: called before every round; it may raise.
            tick: told of every round.
        """
        begun = time.monotonic()
        begun_anew = {"done": 0, "seconds": 0.0, "state": start}
        saved = cast("LoopRecord", self.read(name) or self.write(name, begun_anew))
        before, state = saved["seconds"], cast("_State", saved["state"])  # as `start`, in the types of JSON
        tick(saved["done"], total=rounds)
        for index in range(saved["done"], rounds):
            check(f"after round {index}")
            yield index, state
            self.write(name, {"done": index + 1, "seconds": before + time.monotonic() - begun, "state": state})
            tick(1, note=state.get("note"))

    def loop_of(self, name: str) -> LoopRecord:
        """The record of a loop that is finished."""
        saved = self.read(name)
        assert saved is not None, f"loop {name} is not finished"
        return cast("LoopRecord", saved)
