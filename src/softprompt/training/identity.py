"""What makes two runs the same run, and in what another one differs, down to the field."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from pydantic import JsonValue

from softprompt.backbones.backbone import Backbone
from softprompt.files.places import TENSORS, folder_of
from softprompt.methods.base import Method
from softprompt.methods.registry import checked, method
from softprompt.ranks import here
from softprompt.readouts import ReadoutSpec
from softprompt.readouts.settled import needs_end
from softprompt.tasks import Splits, Task
from softprompt.tasks.row_hash import RowsHash
from softprompt.training.measure import versions
from softprompt.training.named_patterns import named_patterns
from softprompt.training.options import Plan, TrainingOptions

_PARTS = {"train": "training", "validation": "validation", "test": "test"}
_SHOWN = 60  # characters of a value in a message


def identity_of(
    backbone: Backbone,
    task: Task,
    method: Method,
    options: TrainingOptions,
    spec: ReadoutSpec,
    splits: Splits,
    plan: Plan,
) -> dict[str, JsonValue]:
    """What makes two runs the same run; it stands in `run.json`.

    Bytes depend on the type of device and of the weights and on the libraries, too: a run that goes on with others
    would not end as it was begun.
    """
    own = backbone.fingerprint.model_dump(mode="json")
    # A run of choices that was begun before ends could be scored is the same where no row asks for one.
    rows = (*splits.train, *splits.validation, *splits.test)
    idle = {_END} if spec.answer_end == "auto" and not needs_end(rows) else None
    named = {name: one.model_dump(mode="json") for name, one in named_patterns(method, task).items()}
    return {
        "task": task.name,
        "method": method.name,
        "backbone": backbone.name,
        "seed": splits.seed,
        **({"ranks": here().count} if here().count > 1 else {}),
        "dtype": own.pop("dtype"),
        "device": backbone.device.type,
        "shots": splits.shots,
        "protocol": splits.protocol,
        "task_definition": task.model_dump(mode="json"),
        **({"patterns": named} if named else {}),
        "method_options": method.model_dump(mode="json"),
        "training_options": options.model_dump(mode="json"),
        "recipe": plan.model_dump(mode="json", exclude={"source"}),
        "readout": spec.model_dump(mode="json", exclude=idle),
        "rows": {part: RowsHash.of(getattr(splits, part)).model_dump(mode="json") for part in _PARTS},
        "starts": {place: digest_of(folder_of(Path(place)) / TENSORS) for place in starts_of(method, options)},
        "fingerprint": own,
        "versions": {**versions()},
    }


def starts_of(method: Method, options: TrainingOptions) -> tuple[str, ...]:
    """Folders of the saved prompts that a run starts from."""
    return (*method.starts(), *([] if options.init_from is None else [options.init_from]))


def run_difference(then: Mapping[str, object], now: Mapping[str, object], *, finished: bool) -> str | None:
    """How the run of a folder differs from another, as the end of a sentence with its mend; None where it does not.

    Args:
        then: what `run.json` holds.
        now: what `identity_of` gives, or a mapping of the same make.
        finished: the run in the folder is finished. Nothing is computed for it any more, so other versions of the
            libraries, or a start that is gone, make no difference.
    """
    if not finished and then.get("ranks", 1) != now.get("ranks", 1):
        return _ranks(then.get("ranks", 1), now.get("ranks", 1))
    for key, value in now.items():
        if key == "ranks" or (finished and key == "versions"):
            continue
        if key == "recipe" and key not in then:
            continue  # an earlier version recorded none; what its optimiser was stands in its state
        if key not in then:
            return (
                f"a run of an earlier version, which recorded no {key}, so that it cannot go on here: choose another "
                "output (softprompt predict and sp.open_run still read its prompt once it is finished)"
            )
        if key == "method_options":
            value = _method_options(then, now, finished=finished)
        found = _BY_KEY.get(key, _another)(key, then[key], value)
        if found is not None:
            return found
    return None


def _method_options(then: Mapping[str, object], now: Mapping[str, object], *, finished: bool) -> Mapping[str, object]:
    """A method's options without those that the run's version did not know, where they change nothing.

    They have no part in the prompt, or have their default and the run is finished.
    """
    before, options = _mapping(then.get("method_options")), _mapping(now.get("method_options"))
    name = str(now.get("method"))
    counting = method(name, **options).in_use().keys() if options.keys() - before.keys() else {}
    usual = method(name).model_dump(mode="json") if finished else {}
    return {
        option: value
        for option, value in options.items()
        if option in before or (option in counting and (option, value) not in usual.items())
    }


def _another(key: str, then: object, now: object) -> str | None:
    found = next(_fields(key, then, now), None)
    if found is None:
        return None
    path, before, after = found
    return f"a run with another {path} ({_shown(before)} then, {_shown(after)} now): give the same, or {_OTHER}"


def _options(key: str, then: object, now: object) -> str | None:
    """What `answer_end` and `max_length` come to stands in the readout."""
    return _another(key, *({**_mapping(one), _END: None, "max_length": None} for one in (then, now)))


def _readout(key: str, then: object, now: object) -> str | None:
    before, after = (_mapping(one).get(_END, "no") for one in (then, now))
    if before == after:
        return _another(key, then, now)
    return (
        f"a run that was begun with {_END} {_shown(before)}, where it is {_shown(after)} now (whether an end token is "
        f"scored behind answers): give {_END}={_shown(before)}, or {_OTHER}"
    )


def _fields(path: str, then: object, now: object) -> Iterator[tuple[str, object, object]]:
    """The fields that differ, by their paths."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for key in dict.fromkeys((*then, *now)):
            yield from _fields(f"{path}.{key}", then.get(key), now.get(key))
    elif then != now:
        yield path, then, now


def _loaded(word: str, key: str, then: object, now: object) -> str | None:
    if then == now:
        return None
    return (
        f"a run that was trained {word} {then}, and the backbone is {word} {now} now: load it with --{key} {then}, "
        f"or {_OTHER}"
    )


def _ranks(then: object, now: object) -> str:
    mend = "without torchrun" if then == 1 else f"with torchrun --nproc-per-node {_shown(then)}"
    return (
        f"a run that was begun on {_shown(then)} ranks, and here are {_shown(now)}, whose sums are rounded otherwise: "
        f"go on {mend}, or {_OTHER}"
    )


def _rows(key: str, then: object, now: object) -> str | None:
    for part, name in _PARTS.items():
        before: RowsHash = checked(RowsHash, _mapping(_mapping(then).get(part)), f"run.json: rows.{part}")
        found = before.difference(RowsHash.model_validate(_mapping(now)[part]))
        if found is not None:
            same = "data, max_test_rows and test_size (earlier versions: 0.1)" if part == "test" else "data"
            return f"a run whose {name} rows were others ({found}): give the same {same}, or {_OTHER}"
    return None


def _starts(key: str, then: object, now: object) -> str | None:
    for place, digest in _mapping(now).items():
        if digest is not None and _mapping(then).get(place) != digest:
            return f"a run that started from another prompt than {place} holds now: put that one back, or {_OTHER}"
    return None


def _versions(key: str, then: object, now: object) -> str | None:
    found = next(_fields(key, then, now), None)
    if found is None:
        return None
    path, before, after = found
    name = path.removeprefix("versions.")
    return (
        f"a run that was begun with {name} {before}, and here is {after}, which cannot promise the same bytes: go on "
        f"with {name} {before}, or {_OTHER}"
    )


_OTHER = "choose another output"
_END = "answer_end"
_BY_KEY: dict[str, Callable[[str, object, object], str | None]] = {
    "dtype": partial(_loaded, "in"),
    "device": partial(_loaded, "on"),
    "training_options": _options,
    "readout": _readout,
    "rows": _rows,
    "starts": _starts,
    "versions": _versions,
}


def _mapping(value: object) -> dict[str, object]:
    """A value of a file that may be damaged."""
    return value if isinstance(value, dict) else {}


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def digest_of(path: Path) -> str | None:
    """A hash of a file's bytes (BLAKE2b, 128 bits); None where there is none, which whoever reads it will tell."""
    digest = hashlib.blake2b(digest_size=16)
    try:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    except OSError:
        return None
    return digest.hexdigest()
