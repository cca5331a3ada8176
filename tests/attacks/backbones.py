"""Checkpoints that carry pickle and code where a loader may meet them, and checkpoints damaged in every file."""

from __future__ import annotations

import copy
import json
import pickle
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
from transformers import LlamaForCausalLM

from softprompt.backbones.load import load_backbone
from softprompt.errors import SoftPromptError
from softprompt.training.measure import peak_memory, reset_peak

from ..shared.checkpoints import LLAMA, TIED, save, write_gguf

TITLE = "checkpoints with pickle or code in them, and damaged ones"
PROMISE = "nothing of theirs is run; refused in one line that names the backbone, within 200 MB, or loaded"
TESTS = ["tests/backbones/test_checkpoint.py", "tests/backbones/test_load.py"]

MEMORY = 200 << 20
VALUES: tuple[Any, ...] = (None, True, -1, 0, 1.5, 10**6, 10**9, 2**70, "", "x", [], {}, ["x"], {"x": 1})
Harm = Callable[[Path], None]


class Mine:
    """Whoever unpickles it makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self.marker,)


def planted(marker: Path) -> dict[str, Harm]:
    """Pickle and code in every place in which transformers, or anybody else, might look for them."""
    mine, code = Mine(marker), f"from pathlib import Path\nPath({str(marker)!r}).touch()\n"

    def pickled(folder: Path, *names: str) -> None:
        for name in names:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(pickle.dumps(mine))

    def zipped(folder: Path, *names: str) -> None:
        for name in names:
            torch.save({"lm_head.weight": mine}, folder / name)

    def configured(folder: Path, name: str = "config.json", **changes: Any) -> None:
        found = json.loads((folder / name).read_text()) if (folder / name).is_file() else {}
        (folder / name).write_text(json.dumps({**found, **changes}))

    def index(folder: Path, shard: Any, name: str = "model.safetensors.index.json") -> None:
        (folder / "model.safetensors").unlink(missing_ok=True)
        names = load_names()
        configured(folder, name, metadata={"total_size": 1}, weight_map=dict.fromkeys(names, shard))

    def load_names() -> list[str]:
        return ["lm_head.weight", "model.embed_tokens.weight", "model.norm.weight"]

    def adapter(folder: Path) -> None:
        configured(folder, "adapter_config.json", peft_type="LORA", r=2, target_modules=["q_proj"])
        zipped(folder, "adapter_model.bin")

    def instead(folder: Path, put: Callable[[Path, str], None]) -> None:
        (folder / "model.safetensors").unlink()
        put(folder, "model.safetensors")

    def steps(*each: Callable[[Path], Any]) -> Harm:
        def harm(folder: Path) -> None:
            for one in each:
                one(folder)

        return harm

    auto = dict.fromkeys(("AutoConfig", "AutoModel", "AutoModelForCausalLM"), "evil.Evil")
    return {
        "bin alone": steps(lambda f: instead(f, lambda g, n: zipped(g, "pytorch_model.bin"))),
        "bin beside": steps(lambda f: zipped(f, "pytorch_model.bin"), lambda f: pickled(f, "model.bin")),
        "index of a bin": steps(lambda f: index(f, "pytorch_model.bin"), lambda f: zipped(f, "pytorch_model.bin")),
        "index of a pickle": steps(lambda f: index(f, "evil.pkl"), lambda f: pickled(f, "evil.pkl")),
        "index above": steps(lambda f: index(f, "../evil.bin"), lambda f: zipped(f, "../evil.bin")),
        "index above, safe": steps(lambda f: index(f, "../copy/../evil.safetensors")),
        "index absolute": lambda f: index(f, str(f / "x.safetensors")),
        "index of a hidden file": lambda f: index(f, ".safetensors"),
        "index of a number": lambda f: index(f, 3),
        "index of a list": lambda f: index(f, ["x"]),
        "index of nothing": lambda f: index(f, "model-00001-of-00001.safetensors"),
        "index is a pickle": steps(lambda f: index(f, "x"), lambda f: pickled(f, "model.safetensors.index.json")),
        "bin index": steps(
            lambda f: index(f, "evil.bin", "pytorch_model.bin.index.json"), lambda f: zipped(f, "evil.bin")
        ),
        "weights are a pickle": lambda f: instead(f, pickled),
        "weights are a zip": lambda f: instead(f, zipped),
        "config names a bin": steps(
            lambda f: zipped(f, "adapter_model.bin"), lambda f: configured(f, transformers_weights="adapter_model.bin")
        ),
        "config names a file above": lambda f: configured(f, transformers_weights="../evil.safetensors"),
        "config names a number": lambda f: configured(f, transformers_weights=3),
        "config names an index": steps(
            lambda f: configured(f, "evil.safetensors.index.json", metadata={}, weight_map={"x": "evil.bin"}),
            lambda f: configured(f, transformers_weights="evil.safetensors.index.json"),
            lambda f: zipped(f, "evil.bin"),
        ),
        "an adapter": adapter,
        "distributed": steps(
            lambda f: shutil.copy(f / "model.safetensors", f / "shard-00000-model-00001-of-00001.safetensors"),
            lambda f: pickled(f, ".metadata", "__0_0.distcp"),
        ),
        "distributed alone": steps(
            lambda f: (f / "model.safetensors").rename(f / "shard-00000-model-00001-of-00001.safetensors"),
            lambda f: pickled(f, ".metadata", "__0_0.distcp"),
        ),
        "other frameworks": lambda f: pickled(f, "tf_model.h5", "flax_model.msgpack", "model.ckpt.index", "model.onnx"),
        "other frameworks alone": steps(
            lambda f: (f / "model.safetensors").unlink(), lambda f: pickled(f, "tf_model.h5", "flax_model.msgpack")
        ),
        "of a training": lambda f: pickled(f, "training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth"),
        "of a tokenizer": lambda f: pickled(f, "vocab.pkl", "vocab.bin", "tokenizer.pkl", "spiece.pkl", "merges.pt"),
        "tokenizer is a pickle": lambda f: pickled(f, "tokenizer.json"),
        "tokenizer model is a pickle": lambda f: ((f / "tokenizer.json").unlink(), pickled(f, "tokenizer.model"))[1],
        "generation is a pickle": lambda f: pickled(f, "generation_config.json"),
        "code for the model": steps(lambda f: (f / "evil.py").write_text(code), lambda f: configured(f, auto_map=auto)),
        "code for another model": steps(
            lambda f: (f / "evil.py").write_text(code), lambda f: configured(f, auto_map=auto, model_type="zork")
        ),
        "code for the tokenizer": steps(
            lambda f: (f / "evil.py").write_text(code),
            lambda f: configured(f, "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Evil", "evil.Evil"]}),
        ),
        "code of another repository": lambda f: configured(f, auto_map={k: f"org/evil--{v}" for k, v in auto.items()}),
        "code for generation": lambda f: (
            (f / "custom_generate").mkdir(),
            (f / "custom_generate" / "generate.py").write_text(code),
            configured(f, "generation_config.json", custom_generate=str(f)),
        )[2],
        "a kernel of the hub": lambda f: configured(f, attn_implementation="org/evil"),
        "a kernel of the hub, below": lambda f: configured(f, _attn_implementation="kernels-community/flash-attn"),
        "a quantiser": lambda f: configured(f, quantization_config={"quant_method": "gptq", "bits": 4}),
        "a module as a class": lambda f: configured(f, architectures=["pickle.Unpickler"]),
        "a class that is none": lambda f: configured(f, architectures=["logging"]),
        "a tokenizer that is a module": lambda f: configured(f, "tokenizer_config.json", tokenizer_class="os.system"),
    }


def in_documents(folder: Path, most: int) -> Iterator[tuple[str, Harm]]:
    """Each key of each JSON file left out and with every kind of value; at most so many of a file."""
    chance = random.Random(3)
    for name in ("config.json", "tokenizer_config.json", "generation_config.json", "tokenizer.json"):
        whole = json.loads((folder / name).read_text())
        made: list[Harm] = []
        for path in _ways(whole):
            made.append(_edited(name, whole, path, None, leave_out=True))
            made += [_edited(name, whole, path, value) for value in VALUES]
        yield from ((name, harm) for harm in (made if len(made) <= most else chance.sample(made, most)))
        text = (folder / name).read_text()
        for broken in ("", "{", "[]", "null", text[: len(text) // 2], "[" * 100_000, "\ufeff" + text, text * 2):
            yield name, lambda f, name=name, broken=broken: (f / name).write_text(broken) and None
        yield name, lambda f, name=name: (f / name).write_bytes(b"\xff\xfe\x00") and None


def in_weights(folder: Path, flips: int) -> Iterator[tuple[str, Harm]]:
    """Tensors of other shapes and types, missing, not finite; the file cut off or with bits flipped."""
    whole = load_file(folder / "model.safetensors")
    name = "model.layers.1.self_attn.q_proj.weight"

    def put(make: Callable[[dict[str, torch.Tensor]], Any]) -> Harm:
        def harm(place: Path) -> None:
            tensors = {key: value.clone() for key, value in whole.items()}
            make(tensors)
            save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})

        return harm

    for dtype in (torch.float64, torch.float16, torch.int64, torch.bool):
        yield "", put(lambda tensors, dtype=dtype: tensors.update({name: tensors[name].to(dtype)}))
    for key in list(whole)[:6]:
        yield key, put(lambda tensors, key=key: tensors.pop(key))
        yield key, put(lambda tensors, key=key: tensors.update({key: tensors[key][:1].contiguous()}))
        yield key, put(lambda tensors, key=key: tensors.update({key: tensors[key][None].contiguous()}))
        yield key, put(lambda tensors, key=key: tensors[key].view(-1)[0].fill_(float("nan")))
        yield key, put(lambda tensors, key=key: tensors[key].view(-1)[0].fill_(float("inf")))
    content, chance = (folder / "model.safetensors").read_bytes(), random.Random(4)
    length = struct.unpack("<Q", content[:8])[0]
    for part in range(12):
        yield (
            "",
            lambda f, part=part: (f / "model.safetensors").write_bytes(content[: len(content) * part // 12]) and None,
        )
    for lie in (0, length + 1, 10**8, 10**10, 2**64 - 1):
        yield (
            "",
            lambda f, lie=lie: (f / "model.safetensors").write_bytes(struct.pack("<Q", lie) + content[8:]) and None,
        )
    for place in (chance.randrange(8 * (8 + length)) for _ in range(flips)):
        yield "", lambda f, place=place: _flip(f / "model.safetensors", place)


def in_gguf(folder: Path, flips: int) -> Iterator[tuple[str, Harm]]:
    """A GGUF file cut off, with bits flipped in its fields, or no GGUF at all; an adapter beside it."""
    content, chance = (folder / "tiny.gguf").read_bytes(), random.Random(6)
    fields = content.index(b"token_embd")
    for part in range(16):
        yield "", lambda f, part=part: (f / "tiny.gguf").write_bytes(content[: len(content) * part // 16]) and None
        yield "", lambda f, part=part: (f / "tiny.gguf").write_bytes(content[: fields * part // 16]) and None
    for place in (chance.randrange(8 * (fields + 600)) for _ in range(flips)):
        yield "", lambda f, place=place: _flip(f / "tiny.gguf", place)
    for lie in (2**16, 2**32, 2**62):
        for start in (8, 16):
            changed = content[:start] + struct.pack("<Q", lie) + content[start + 8 :]
            yield "", lambda f, changed=changed: (f / "tiny.gguf").write_bytes(changed) and None
    yield "", lambda f: (f / "adapter_config.json").write_text('{"base_model_name_or_path": "org/evil"}') and None


def _flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place // 8] ^= 1 << place % 8
    path.write_bytes(content)


def _ways(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inside:
        yield from _ways(one, (*path, key))


def _edited(name: str, whole: Any, path: tuple[Any, ...], value: Any, *, leave_out: bool = False) -> Harm:
    def harm(folder: Path) -> None:
        document = inside = copy.deepcopy(whole)
        for key in path[:-1]:
            inside = inside[key]
        if leave_out:
            inside.pop(path[-1])
        else:
            inside[path[-1]] = value
        (folder / name).write_text(json.dumps(document))

    return harm


def attempt(name: str, marker: Path) -> str:
    """Load a backbone; what came of it."""
    reset_peak()
    before = peak_memory()
    found = _loaded(name)
    if marker.exists():
        marker.unlink()
        return "ran code of the checkpoint"
    return "over 200 MB" if peak_memory() - before > MEMORY else found


def _loaded(name: str) -> str:
    try:
        load_backbone(name, device="cpu", dtype="float32")
    except SoftPromptError as error:
        clear = len(str(error).splitlines()) == 1 and name.removeprefix("adapter:") in str(error)
        return "refused in one line" if clear else f"not one clear line: {error}"
    except BaseException as error:  # a panic of a library in Rust is no Exception
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"tracebacks: {type(error).__name__}: {error}"
    return "loaded"


def attack(tick: Callable[[int], None], every: int = 1, flips: int = 150, most: int = 400) -> Counter[str]:
    """Load every checkpoint with something planted in it, and damaged ones.

    Args:
        tick: called with the number of attempts made.
        every: take each so many-th damage alone; what is planted is always all tried.
        flips: bits of the header of the weights, and of a GGUF file's fields, that are flipped, one at a time.
        most: changes of one JSON file.
    """
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        marker = root / "ran"
        whole, packed = save(root / "whole", LlamaForCausalLM(LLAMA)), root / "packed"
        packed.mkdir()
        write_gguf(LlamaForCausalLM(TIED), packed / "tiny.gguf")
        folders = [*planted(marker).values()]
        folders += [harm for _, harm in (*in_documents(whole, most), *in_weights(whole, flips))][::every]
        for harm in folders:
            counts[_tried(whole, harm, root / "copy", marker)] += 1
            tick(1)
        counts[_tried(whole, planted(marker)["an adapter"], root / "copy", marker, "adapter:")] += 1
        for _, harm in [*in_gguf(packed, flips)][::every]:
            counts[_tried(packed, harm, root / "copy", marker, file="tiny.gguf")] += 1
            tick(1)
    return counts


def _tried(whole: Path, harm: Harm, copied: Path, marker: Path, prefix: str = "", file: str = "") -> str:
    shutil.copytree(whole, copied)
    harm(copied)
    found = attempt(f"{prefix}{copied / file if file else copied}", marker)
    shutil.rmtree(copied)
    return found


def measure(tick: Callable[[int], None]) -> dict[str, int]:
    """The counts of a whole attack."""
    found = attack(tick)

    def starting(word: str) -> int:
        return sum(count for name, count in found.items() if name.startswith(word))

    return {
        "checkpoints loaded": sum(found.values()),
        "with pickle or code planted": len(planted(Path("unused"))),
        "refused in one line": found["refused in one line"],
        "loaded": found["loaded"],
        "ran code of the checkpoint": found["ran code of the checkpoint"],
        "not one clear line": starting("not one"),
        "tracebacks": starting("tracebacks"),
        "over 200 MB": found["over 200 MB"],
    }
