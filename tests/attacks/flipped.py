"""Each file of a run damaged on the disk: cut, emptied, a bit turned, replaced by rubbish, gone; then the same call."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import softprompt as sp
from softprompt.errors import Interrupted, SoftPromptError

from ..shared.models import model, tokenizer
from ..shared.prompts import METHODS
from ..shared.runs import Interrupting, run, task

TITLE = "damaged files of a run and of its training state"
PROMISE = "made again to the same bytes, or refused in one line that names the file; never taken as whole"
TESTS = ["tests/attacks/test_flipped.py"]

MADE_AGAIN, REFUSED, UNREAD = "made again to the same bytes", "refused in one line", "not read, and no matter"
WRONG, TRACEBACK = "taken as whole though it was not", "tracebacks"

# Which method is stopped at which step, and every how many damages are tried: runs of many stages take their time.
FINISHED = 10**6
RUNS = (("prompt_tuning", 7, 1), ("xprompt", 18, 5), ("capt_learned", 11, 5), ("prompt_tuning", FINISHED, 1))

Harm = Callable[[bytes, random.Random], bytes | None]
HARMS: dict[str, Harm] = {
    "gone": lambda content, chance: None,
    "emptied": lambda content, chance: b"",
    "cut": lambda content, chance: content[: chance.randrange(len(content))],
    "rubbish": lambda content, chance: chance.randbytes(len(content)),
    "zeros": lambda content, chance: bytes(len(content)),
    "longer": lambda content, chance: content + b"\0",
    "bit": lambda content, chance: _turned(content, chance),
    "another bit": lambda content, chance: _turned(content, chance),
    "a third bit": lambda content, chance: _turned(content, chance),
}


def stopped(method: str, folder: Path, at: int) -> None:
    """A run that was interrupted, with its state."""
    task(folder / "data")
    with pytest.raises(Interrupted):
        again(method, folder, progress=Interrupting(at))


def again(method: str, folder: Path, **more: Any) -> Any:
    """Start or resume the run in a folder."""
    resume = (folder / "run" / "run.json").is_file()
    data = folder.parent / "data" if (folder.parent / "data").is_dir() else folder / "data"
    return run(folder, "llama", METHODS[method], data=data, resume=resume, max_steps=8, evaluations=4, **more)


def outcome(method: str, folder: Path, expected: bytes) -> str:
    """What becomes of a damaged run."""
    try:
        again(method, folder)
        prompt = sp.load(folder / "run" / "prompt", model("llama"), tokenizer())
    except SoftPromptError as error:
        return REFUSED if "\n" not in str(error) and str(folder) in str(error) else f"{WRONG}: {error}"
    except Exception as error:
        return f"{TRACEBACK}: {type(error).__name__}: {error}"
    whole = (folder / "run" / "prompt" / "prompt.safetensors").read_bytes() == expected and prompt.predict(["w20 w41"])
    return MADE_AGAIN if whole else WRONG


def loaded(folder: Path, intact: Path) -> str:
    """What becomes of a damaged prompt folder when it is loaded."""
    try:
        found, right = (sp.load(place, model("llama"), tokenizer()) for place in (folder, intact))
    except SoftPromptError as error:
        return REFUSED if "\n" not in str(error) and str(folder) in str(error) else f"{WRONG}: {error}"
    except Exception as error:
        return f"{TRACEBACK}: {type(error).__name__}: {error}"
    return UNREAD if _same(found, right) else WRONG


def attack(tick: Callable[..., None], *, runs: Sequence[tuple[str, int, int]] = RUNS, every: int = 1) -> Counter[str]:
    """Count the outcomes of every damage to every file, or of every n-th."""
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for method, at, step in runs:
            intact, whole = root / f"{method}-{at}", root / f"{method}-{at}-whole"
            if at < FINISHED:
                stopped(method, intact, at)
            else:
                again(method, intact)
            shutil.copytree(intact, whole)
            again(method, whole)
            expected = (whole / "run" / "prompt" / "prompt.safetensors").read_bytes()
            for place, kind in _damages(intact / "run", every * step):
                folder = root / "damaged"
                shutil.copytree(intact, folder)
                if not _harm(folder / "run" / place, kind):
                    counts[outcome(method, folder, expected)] += 1
                    tick()
                shutil.rmtree(folder)
        prompt = root / f"prompt_tuning-{FINISHED}" / "run" / "prompt"
        for place, kind in _damages(prompt, every):
            folder = root / "damaged"
            shutil.copytree(prompt, folder)
            if not _harm(folder / place, kind):
                counts[loaded(folder, prompt)] += 1
                tick()
            shutil.rmtree(folder)
    return counts


def measure(tick: Callable[..., None]) -> dict[str, int]:
    """All damages to all files."""
    found = attack(tick)
    for outcome in found:
        if outcome.startswith((WRONG, TRACEBACK)):
            print(f"{found[outcome]} times {outcome}")
    wrong = sum(count for name, count in found.items() if name.startswith(WRONG))
    raised = sum(count for name, count in found.items() if name.startswith(TRACEBACK))
    return {name: found[name] for name in (MADE_AGAIN, REFUSED, UNREAD)} | {WRONG: wrong, TRACEBACK: raised}


def _damages(folder: Path, every: int) -> list[tuple[Path, str]]:
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return [(file, kind) for file in files for kind in HARMS][::every]


def _harm(path: Path, kind: str) -> bool:
    """Damage a file; whether it stayed as it was."""
    content = path.read_bytes()
    changed = HARMS[kind](content, random.Random(f"{path.name} {kind}"))
    if changed is None:
        path.unlink()
    else:
        path.write_bytes(changed)
    return changed == content


def _turned(content: bytes, chance: random.Random) -> bytes:
    turned = bytearray(content)
    turned[chance.randrange(len(turned))] ^= 1 << chance.randrange(8)
    return bytes(turned)


def _same(found: Any, right: Any) -> bool:
    own, others = (dict(_parts(prompt)) for prompt in (found, right))
    return own.keys() == others.keys() and all(own[name] == others[name] for name in own)


def _parts(prompt: Any) -> Iterator[tuple[str, Any]]:
    yield "method", prompt.method
    yield "task", prompt.task
    yield "readout", prompt.readout_spec
    yield "meta", prompt.meta
    yield "seen", prompt.seen
    for name, tensor in prompt.producer.stored().items():
        yield name, tensor.tolist()
