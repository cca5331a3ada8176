"""What the benchmarks of serving share: a folder of prompts of mixed methods, a server, and a client that measures."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).parent.parent
# Without IDPG, which reads every text twice by its own definition, and SPT, whose generator takes megabytes.
METHODS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("prompt_tuning", {"num_virtual_tokens": 20}),
    ("capt", {}),
    ("p_tuning_v2", {"num_virtual_tokens": 8}),
    ("deep_prompt", {"num_virtual_tokens": 5}),
    ("p_tuning", {"num_virtual_tokens": 10}),
    ("prompt_tuning", {"num_virtual_tokens": 8}),
    ("capt", {"num_virtual_tokens": 4}),
    ("p_tuning_v2", {"num_virtual_tokens": 4}),
)


def backbone_of(name: str, work: Path) -> str:
    """What `load_backbone` takes for a name; `tiny` is the tests' small Llama, written to the working folder."""
    if name != "tiny":
        return name
    sys.path.insert(0, str(ROOT))
    from tests.shared.models import model, tokenizer

    folder = work / "tiny"
    if not folder.exists():
        model("llama").save_pretrained(folder)
        tokenizer().save_pretrained(folder)
    return str(folder)


def put_prompts(root: Path, backbone: Any, count: int) -> list[str]:
    """Write so many prompts of mixed methods, untrained, whose vectors are random; their names."""
    import torch

    from softprompt.attached.attach import build
    from softprompt.methods import method
    from softprompt.readouts import build_readout
    from softprompt.storage.prompt import Prompt, save
    from softprompt.tasks import Task
    from softprompt.training.options import TrainingOptions
    from softprompt.training.setup import readout_spec

    words = label_words(backbone)
    task = Task(name="mixed", template="{text} {mask}", labels=dict(zip("01", words, strict=True)))
    found = []
    for place in range(count):
        name, options = METHODS[place % len(METHODS)]
        chosen, folder = method(name, **options), root / f"{name}-{place:02}"
        found.append(folder.name)
        if folder.exists():
            continue
        producer = build(backbone, chosen, seed=place)
        generator = torch.Generator().manual_seed(place)
        with torch.no_grad():
            for parameter in producer.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.02)
        spec = readout_spec(backbone.model, task, chosen, TrainingOptions())
        readout = build_readout(task, backbone, producer, spec)
        with torch.no_grad():
            for parameter in readout.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
        own = backbone.fingerprint
        save(Prompt(chosen, producer, task, readout, spec, own, *backbone, {"backbone_name": backbone.name}), folder)
    return found


def label_words(backbone: Any) -> tuple[str, str]:
    """Two words of one token each."""
    from softprompt.guards.tokenizing import token_ids

    plain = [word for word in ("bad", "good", "no", "yes", "w10", "w11") if _is_one(backbone.tokenizer, word)]
    assert len(plain) >= 2, token_ids(backbone.tokenizer, "good")
    return plain[0], plain[1]


def _is_one(tokenizer: Any, word: str) -> bool:
    ids = tokenizer(word, add_special_tokens=False)["input_ids"]
    return len(ids) == 1 and ids[0] != tokenizer.unk_token_id


def texts_of(backbone: Any, count: int, longest: int = 48, seed: int = 5) -> list[str]:
    """So many texts of random words, of 8 tokens to about `longest`."""
    chance = random.Random(seed)
    vocabulary = [
        word for word in backbone.tokenizer.get_vocab() if word.isalnum() and word.isascii() and word.islower()
    ]
    vocabulary.sort()
    return [" ".join(chance.choices(vocabulary, k=chance.randint(8, longest))) for _ in range(count)]


@dataclass
class Running:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    port: int


@contextmanager
def serving(backbone: str, root: Path, *options: str, threads: int = 1) -> Iterator[Running]:
    """`softprompt serve` on a free port of loopback, until the block ends."""
    command = [
        sys.executable,
        "-m",
        "softprompt",
        "serve",
        "--backbone",
        backbone,
        "--prompts",
        str(root),
        "--port",
        "0",
    ]
    own = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "PYTHONPATH": f"{ROOT / 'src'}:{os.environ.get('PYTHONPATH', '')}",
    }
    process = subprocess.Popen(
        [*command, "--dtype", "float32", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=own,
    )
    assert process.stdout is not None
    running = Running(process, urlsplit(process.stdout.readline().split()[-1]).port)
    try:
        asyncio.run(_ready(running))
        yield running
    finally:
        process.terminate()
        process.wait(60)


async def _ready(running: Running) -> None:
    while True:
        try:
            if (await ask(running.port, "GET", "/readyz"))[0] == 200:
                return
        except OSError:
            assert running.process.poll() is None, "the server has ended"
        await asyncio.sleep(0.1)


async def ask(port: int, verb: str, path: str, body: Any = None) -> tuple[int, bytes]:
    """One request over a connection of its own: its status, and what was answered."""
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"{verb} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        whole = await reader.read()
    finally:
        writer.close()
    if not whole:
        raise ConnectionResetError("nothing was answered")
    top, _, rest = whole.partition(b"\r\n\r\n")
    return int(top.split()[1]), rest


async def at_rate(port: int, bodies: list[Any], rate: float, seconds: float, seed: int = 1) -> list[tuple[int, float]]:
    """Requests that come as they like, so many a second on average (a Poisson process), whether others are done or not.

    Returns:
        Of each its status and its seconds.
    """
    chance, found, going = random.Random(seed), [], []

    async def one(body: Any) -> None:
        began = time.perf_counter()
        try:
            status, _ = await ask(port, "POST", "/v1/classify", body)
        except OSError:
            status = 0
        found.append((status, time.perf_counter() - began))

    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        going.append(asyncio.create_task(one(chance.choice(bodies))))
        await asyncio.sleep(chance.expovariate(rate))
    await asyncio.gather(*going)
    return found


def percentiles(seconds: list[float]) -> dict[str, float]:
    """In milliseconds."""
    ordered = sorted(seconds)
    return {
        f"p{share}": round(1000 * ordered[min(len(ordered) - 1, len(ordered) * share // 100)], 1)
        for share in (50, 95, 99)
    }
