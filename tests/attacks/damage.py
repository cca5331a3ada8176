"""Prompt folders, damaged in every field, every tensor and many of their bytes, and opened."""

from __future__ import annotations

import copy
import json
import random
import shutil
import struct
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

import softprompt as sp
from softprompt.backbones.backbone import Backbone
from softprompt.backbones.fingerprint import fingerprint
from softprompt.errors import SoftPromptError
from softprompt.explain.vectors import stored_rows
from softprompt.files.manifest import MANIFEST
from softprompt.readouts import ReadoutSpec, build_readout
from softprompt.storage.prompt import Prompt
from softprompt.training.measure import peak_memory, reset_peak
from softprompt.training.warm_start import start_from

from ..shared.models import model, tokenizer
from ..shared.prompts import METHODS, producer

TITLE = "damaged prompt folders"
PROMISE = (
    "refused in one line that names the file and the field, within 200 MB; without checksums, or loaded where each "
    "field has a value that it may have"
)
TESTS = ["tests/attacks/test_damage.py", "tests/storage/test_record.py"]

MEMORY = 200 << 20
LOADED = "loaded, each field of a kind that it may have"
# Method, family and readout of the prompts that are damaged.
PROMPTS = {
    "capt": ("llama", "text"),
    "prompt_tuning": ("bert", "head"),
    "autoprompt": ("gpt2", "text"),
    "soft_words": ("bert", "mask"),
    "prefix_tuning": ("t5", "text"),
    "full_finetuning": ("llama", "head"),
}
DEEP: Any = "deep"
MARKUP = "[red]\n[/]\x1b[2J\ud800"
VALUES: tuple[Any, ...] = (None, True, -1, 0, 1.5, 10**9, 10**19, "", MARKUP, [], {}, ["x"], {"x": 1}, DEEP)
TYPES = (torch.float16, torch.bfloat16, torch.float64, torch.float32, torch.int64, torch.int32, torch.bool)
Harm = Callable[[Path], None]


def save_prompt(method: str, folder: Path) -> Path:
    """A prompt that nobody trained, as a run would save it."""
    family, name = PROMPTS[method]
    backbone = model(family)
    spec = ReadoutSpec(name=name, loss="auto", pooling="auto", max_length=40, max_new_tokens=4)
    task = sp.Task(template="{text} {mask}", labels={"0": "w10", "1": "w11"})
    made = producer(backbone, method)
    if method == "full_finetuning":
        with sp.attach(backbone, tokenizer(), METHODS[method]) as prompted:
            made = prompted.prompts[0]
    readout = build_readout(task, Backbone(backbone, tokenizer()), made, spec)
    metrics = {"accuracy": 0.5, "rows": 4, "interval": [0.1, 0.9], "loss": 0.7}
    meta = {"backbone_name": family, "seed": 3, "versions": {"torch": "2"}, "metrics": metrics, "kept_layers": [0, 1]}
    own = fingerprint(backbone)
    prompt = Prompt(METHODS[method], made, task, readout, spec, own, backbone, tokenizer(), {**meta, "told": {}})
    return sp.save(prompt, folder)


def fields(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value in a document."""
    if path:
        yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inside:
        yield from fields(one, (*path, key))


def in_documents(folder: Path) -> Iterator[tuple[str, Harm]]:
    """Each field of `prompt.json` left out, under another name, and with every kind of value; its text broken."""
    whole = json.loads((folder / "prompt.json").read_text())

    def changed(path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> Harm:
        def harm(place: Path) -> None:
            document = copy.deepcopy(whole)
            inside = document
            for key in path[:-1]:
                inside = inside[key]
            change(inside, path[-1])
            text = json.dumps(document).replace('"deep"', "[" * 3000 + "]" * 3000)
            (place / "prompt.json").write_text(text)

        return harm

    for path in fields(whole):
        yield str(path[0]), changed(path, lambda inside, key: inside.pop(key))
        if isinstance(path[-1], str):
            yield str(path[0]), changed(path, lambda inside, key: inside.update({f"{key}_": inside.pop(key)}))
        for value in VALUES:
            yield str(path[0]), changed(path, lambda inside, key, value=value: inside.__setitem__(key, value))
    text = (folder / "prompt.json").read_text()
    broken = [text[: len(text) * part // 40] for part in range(40)]
    broken += [f"\ufeff{text}", text.replace("{", "[", 1), text * 2, "NaN", text.replace("0.5", "NaN")]
    broken += [text.replace("0.5", "1e999"), text.replace('"seed": 3', '"seed": 3, "seed": 4')]
    broken += [text.replace('"seed": 3', f'"seed": {"9" * 9000}'), " " * (5 << 20) + text, "[" * 200_000]
    for one in broken:
        yield "", lambda place, one=one: (place / "prompt.json").write_text(one, encoding="utf-8")
    yield "", lambda place: (place / "prompt.json").write_bytes(text.encode("utf-16"))


def in_tensors(folder: Path) -> Iterator[tuple[str, Harm]]:
    """Each tensor with another type, shape, name or value, left out, and one too many."""
    whole = load_file(folder / "prompt.safetensors")

    def changed(name: str, change: Callable[[torch.Tensor], torch.Tensor | None], key: str | None = None) -> Harm:
        def harm(place: Path) -> None:
            tensors = {other: tensor.clone() for other, tensor in whole.items()}
            made = change(tensors.pop(name))
            if made is not None:
                tensors[key or name] = made.contiguous()
            save_file(tensors, place / "prompt.safetensors")

        return harm

    for name in list(whole)[:8]:
        for dtype in TYPES:
            if dtype != whole[name].dtype:
                yield name, changed(name, lambda tensor, dtype=dtype: tensor.to(dtype))
        yield name, changed(name, lambda tensor: tensor[:0])
        yield name, changed(name, lambda tensor: tensor[..., :-1])
        yield name, changed(name, lambda tensor: tensor[None])
        yield name, changed(name, lambda tensor: tensor.flatten()[0])
        yield name, changed(name, lambda tensor: torch.cat([tensor, tensor]))
        yield name, changed(name, lambda tensor: tensor.new_zeros(1).expand(60_000_000 // tensor.element_size()))
        yield name, changed(name, lambda tensor: None)
        yield name, changed(name, lambda tensor: tensor, "other")
        yield name, changed(name, lambda tensor: tensor, f"head.{name}")
        for value in (float("nan"), float("inf"), -1.0):
            if whole[name].is_floating_point() != (value == -1.0):
                yield name, changed(name, lambda tensor, value=value: tensor.flatten().index_fill(
                    0, torch.tensor(0), value).view_as(tensor))  # fmt: skip
    for extra in ("extra", "head.extra", "head.calibration", ""):
        yield (
            extra,
            lambda place, extra=extra: save_file({**whole, extra: torch.zeros(3)}, place / "prompt.safetensors"),
        )


def in_bytes(folder: Path, flips: int) -> Iterator[tuple[str, Harm]]:
    """Tensors cut off, with lies in their header, with bits flipped; what is no file at all."""
    whole = (folder / "prompt.safetensors").read_bytes()
    length = struct.unpack("<Q", whole[:8])[0]
    chance = random.Random(5)

    def put(content: bytes) -> Harm:
        return lambda place: place.joinpath("prompt.safetensors").write_bytes(content) and None

    for part in range(30):
        yield "", put(whole[: len(whole) * part // 30])
        yield "", put(whole[: (8 + length) * part // 30])
    for lie in (0, 1, length - 1, length + 1, len(whole), 10**8, 10**10, 2**63, 2**64 - 1):
        yield "", put(struct.pack("<Q", lie) + whole[8:])
    header = json.loads(whole[8 : 8 + length])
    for name in list(header)[:4]:
        for key, value in (("shape", [10**10]), ("shape", [-1]), ("data_offsets", [0, 10**10]), ("dtype", "F8_E4M3")):
            told = json.dumps({**header, name: {**header[name], key: value}}).encode()
            yield "", put(struct.pack("<Q", len(told)) + told + whole[8 + length :])
    for place in [*chance.sample(range(8 * (8 + length)), min(flips, 8 * (8 + length))),
                  *(chance.randrange(8 * (8 + length), 8 * len(whole)) for _ in range(flips))]:  # fmt: skip
        content = bytearray(whole)
        content[place // 8] ^= 1 << place % 8
        yield "", put(bytes(content))
    text = (folder / "prompt.json").read_bytes()
    for _ in range(flips):
        content = bytearray(text)
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        yield "", lambda place, content=bytes(content): place.joinpath("prompt.json").write_bytes(content) and None
    for file in ("prompt.json", "prompt.safetensors"):
        yield "", lambda place, file=file: _instead(place / file, lambda path: path.mkdir())
        yield "", lambda place, file=file: _instead(place / file, lambda path: path.symlink_to(path))
        yield "", lambda place, file=file: _instead(place / file, lambda path: path.symlink_to("/dev/zero"))
        yield "", lambda place, file=file: _instead(place / file, lambda path: None)
        yield "", lambda place, file=file: _instead(place / file, lambda path: path.write_bytes(b"\x80\x04\x95"))


def _instead(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


def attempt(folder: Path, method: str, field: str) -> str:
    """Open a damaged folder through every door; what came of it."""
    family = PROMPTS[method][0]
    backbone, words = model(family), tokenizer()
    doors: list[Callable[[], Any]] = [lambda: sp.load(folder, backbone, words), lambda: stored_rows(folder)]
    if METHODS[method].continues():
        doors.append(lambda: _start(backbone, method, folder))
    reset_peak()
    before = peak_memory()
    found = [_opened(door, folder, field) for door in doors]
    if peak_memory() - before > MEMORY:
        return "over 200 MB"
    return next((one for one in found if one.startswith(("trace", "not"))), found[0])


def _opened(door: Callable[[], Any], folder: Path, field: str) -> str:
    try:
        door()
    except SoftPromptError as error:
        message = str(error)
        if len(message.splitlines()) != 1 or not message.isprintable() or str(folder) not in message:
            return f"not one clear line: {message!r}"
        return "refused by file and field" if field in message else "refused by the file alone"
    except Exception as error:
        return f"tracebacks: {type(error).__name__}: {error}"
    return LOADED


def _start(backbone: Any, method: str, folder: Path) -> None:
    with sp.attach(backbone, tokenizer(), METHODS[method]) as prompted:
        start_from(prompted, METHODS[method], folder)


def damages(folder: Path, flips: int) -> list[tuple[str, Harm]]:
    """All of them."""
    return [*in_documents(folder), *in_tensors(folder), *in_bytes(folder, flips)]


def attack(tick: Callable[[int], None], every: int = 1, flips: int = 300, *, manifest: bool = True) -> Counter[str]:
    """Damage and open each prompt.

    Args:
        tick: called with the number of attempts made.
        manifest: leave the checksums where they are; without them it is a prompt of an earlier version.
        every: take each so many-th damage alone.
        flips: bits of the header, of the tensors and of `prompt.json` that are flipped, one at a time.
    """
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        for place, method in enumerate(PROMPTS):
            whole = save_prompt(method, Path(scratch) / method)
            assert attempt(whole, method, "").startswith("loaded")
            for field, harm in damages(whole, flips)[place % every :: every]:
                copied = Path(scratch) / "copy"
                shutil.copytree(whole, copied)
                harm(copied)
                if not manifest:
                    (copied / MANIFEST).unlink()
                counts[attempt(copied, method, field)] += 1
                shutil.rmtree(copied)
                tick(1)
    return counts


def measure(tick: Callable[[int], None]) -> dict[str, int]:
    """The counts of a whole attack, and of a part of it on prompts without checksums."""
    found, earlier = attack(tick), attack(tick, every=5, manifest=False)

    def broken(word: str) -> int:
        return sum(count for name, count in (found + earlier).items() if name.startswith(word))

    return {
        "folders opened": found.total(),
        "refused by file and field": found["refused by file and field"],
        "refused by the file alone": found["refused by the file alone"],
        "loaded": found[LOADED],
        "folders without checksums": earlier.total(),
        "of these refused": earlier.total() - earlier[LOADED],
        "not one clear line": broken("not"),
        "tracebacks": broken("tracebacks"),
        "over 200 MB": broken("over"),
    }
