"""What a check ends in, in one word and a note."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from softprompt.errors import SoftPromptError

HOLDS, REFUSED, ERROR, WRONG, UNKNOWN = "holds", "refused", "error", "wrong", "unknown"
# From best to worst; what is unknown counts for nothing.
ORDER = (UNKNOWN, HOLDS, REFUSED, ERROR, WRONG)


class Verdict(NamedTuple):
    """How a check ended.

    Attributes:
        word: `holds`, `refused` (a `SoftPromptError`), `error` (any other exception), `wrong`, or `unknown` where
            the bare model allows no comparison.
        note: what was found, on one line.
    """

    word: str
    note: str = ""


class Wrong(Exception):
    """What a check found to be so."""


class Unknown(Exception):
    """Why a check cannot tell."""


def judged(check: Callable[[], object]) -> Verdict:
    """What a check ends in."""
    try:
        return Verdict(HOLDS, str(check() or ""))
    except Wrong as found:
        return Verdict(WRONG, str(found))
    except Unknown as found:
        return Verdict(UNKNOWN, str(found))
    except SoftPromptError as refusal:
        return Verdict(REFUSED, str(refusal))
    except Exception as error:
        return Verdict(ERROR, told(error))


def told(error: BaseException) -> str:
    """An exception on one line, with where it was raised and where the library last had a part in it."""
    frames = [(Path(one.filename), one.lineno) for one in traceback.extract_tb(error.__traceback__)]
    places = [f"{path.name}:{line}" for path, line in frames[-1:]]
    places += [f"{path.name}:{line}" for path, line in frames[:-1] if "softprompt" in path.parts][-1:]
    first = (str(error).strip().splitlines() or [""])[0][:240]
    return f"{type(error).__name__}: {first} ({', from '.join(places)})"


def worst(words: list[str]) -> str:
    """The worst of some verdicts' words; `unknown` for none."""
    return max(words, key=ORDER.index, default=UNKNOWN)
