"""A server under load from another process, for a bounded time: no wrong answer, no leak, nothing lost at the end.

python -m benchmarks.serving_load --work FOLDER [--backbone tiny|embedded:minilm] [--minutes 20] [--clients 8]

Clients ask good questions, whose answers are known beforehand, bad and huge ones, send their bodies slowly, and go away
before they are answered, while a prompt comes and goes in the folder. The server's memory is looked at meanwhile: the
median of each quarter, and the last one's against the second's. At the end it is told to stop (SIGTERM) while requests
are under way: each that it has accepted must be answered, by 503 where a busy machine leaves no time for it, and it
must end with 0. The counts are printed, and written to benchmarks/results/serving_load.json, with how busy the machine
was: the median of how many processes wanted a core.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]
from benchmarks import _served as served  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "serving_load.json"
PROMPTS, TEXTS, NEAR = 16, 12, 2e-5


def known_answers(name: str, root: Path, names: list[str]) -> tuple[list[str], dict[tuple[str, int], dict[str, float]]]:
    """Texts, and what each prompt answers to each of them by itself."""
    import softprompt as sp
    from softprompt.storage.prompt import answers_to, load

    backbone = sp.load_backbone(name, dtype="float32")
    texts = served.texts_of(backbone, TEXTS)
    right = {}
    for own in names:
        prompt = load(root / own, backbone)
        assert prompt.task is not None
        for place, row in enumerate(prompt.task.rows_of(texts)):
            right[own, place] = answers_to(prompt, [row])[0].probabilities
    return texts, right


class Load:
    """What the clients do, and what they met."""

    def __init__(self, port: int, names: list[str], texts: list[str], right: Any) -> None:
        """Of one server."""
        self.port, self.names, self.texts, self.right = port, names, texts, right
        self.counts: Counter[str] = Counter()
        self.wrong: list[Any] = []
        self.chance = random.Random(11)

    async def client(self, until: float) -> None:
        """Ask until a time."""
        kinds = [self.good] * 12 + [self.written, self.bad, self.bad, self.huge, self.slow, self.cancelled]
        while time.monotonic() < until:
            kind = self.chance.choice(kinds)
            try:
                await kind()
            except OSError as error:
                self.wrong.append((kind.__name__, repr(error)))
            self.counts[kind.__name__] += 1

    async def good(self) -> None:
        """A question of some prompts and texts, whose answers are known."""
        names = self.chance.sample(self.names, self.chance.randint(1, 4))
        places = self.chance.sample(range(len(self.texts)), self.chance.randint(1, 4))
        body = {"model": names, "input": [self.texts[place] for place in places]}
        status, said = await served.ask(self.port, "POST", "/v1/classify", body)
        if status == 429:
            self.counts["full"] += 1
            await asyncio.sleep(1)
            return
        if status != 200:
            self.wrong.append((status, said[:300]))
            return
        for row in json.loads(said)["data"]:
            own = self.right[row["model"], places[row["index"]]]
            if any(abs(row["probabilities"][label] - chance) > NEAR for label, chance in own.items()):
                self.wrong.append((row, own))

    async def written(self) -> None:
        """A completion of a prompt with labels, streamed."""
        body = {"model": self.names[0], "prompt": self.texts[0], "stream": True}
        status, said = await served.ask(self.port, "POST", "/v1/completions", body)
        if status not in (200, 429) or (status == 200 and b"[DONE]" not in said):
            self.wrong.append((status, said[:300]))

    async def bad(self) -> None:
        """What is refused."""
        body = self.chance.choice([b"{", {"model": "nobody", "input": "x"}, {"model": 3}, {"input": []}, b"[" * 500])
        await self._refused(body, (400, 404))

    async def huge(self) -> None:
        """What is too much."""
        body = self.chance.choice([b" " * (1 << 21), {"model": self.names[0], "input": ["x"] * 1000}])
        await self._refused(body, (413,))

    async def slow(self) -> None:
        """A body that comes byte by byte, and now and then has no end."""
        body = json.dumps({"model": self.names[0], "input": self.texts[0]}).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = f"Host: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        writer.write(f"POST /v1/classify HTTP/1.1\r\n{head}\r\n\r\n".encode())
        whole = self.chance.random() < 0.7
        for place in range(len(body) if whole else len(body) // 2):
            writer.write(body[place : place + 1])
            await asyncio.sleep(0.005)
        if whole and not (await reader.read()).startswith((b"HTTP/1.1 200", b"HTTP/1.1 429")):
            self.wrong.append("a slow request was not answered")
        writer.close()

    async def cancelled(self) -> None:
        """A question whose client goes away."""
        body = {"model": self.names, "input": self.texts}
        with_end = asyncio.create_task(served.ask(self.port, "POST", "/v1/classify", body))
        await asyncio.sleep(self.chance.random() * 0.05)
        with_end.cancel()
        await asyncio.gather(with_end, return_exceptions=True)

    async def _refused(self, body: Any, statuses: tuple[int, ...]) -> None:
        try:
            status, said = await served.ask(self.port, "POST", "/v1/classify", body)
        except ConnectionError:  # it was refused before it was sent whole
            self.counts["cut_off"] += 1
            return
        if status not in statuses or b"Traceback" in said:
            self.wrong.append((status, said[:300]))


async def visitor(root: Path, spare: Path, until: float) -> None:
    """A prompt that comes and goes."""
    place = root / "visitor"
    while time.monotonic() < until:
        shutil.copytree(spare, place, dirs_exist_ok=True)
        await asyncio.sleep(3)
        shutil.rmtree(place)
        await asyncio.sleep(3)


async def watch(pid: int, until: float, memory: list[int], busy: list[float]) -> None:
    """The server's memory, and how many processes want a core, second by second."""
    process = psutil.Process(pid)
    while time.monotonic() < until:
        memory.append(process.memory_info().rss)
        busy.append(os.getloadavg()[0])
        await asyncio.sleep(1)


async def drained(running: served.Running, load: Load) -> dict[str, Any]:
    """Tell the server to stop while requests are under way."""
    body = {"model": load.names[:4], "input": load.texts[:4]}
    asked = [asyncio.create_task(served.ask(running.port, "POST", "/v1/classify", body)) for _ in range(16)]
    await asyncio.sleep(0.15)
    running.process.terminate()
    told = time.monotonic()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    seconds = round(time.monotonic() - told, 1)
    statuses = Counter(str(one[0]) if isinstance(one, tuple) else "not accepted" for one in answers)
    code = await asyncio.to_thread(running.process.wait, 60)
    return {"statuses": dict(statuses), "seconds": seconds, "exit_code": code}


async def at_work(running: served.Running, load: Load, root: Path, spare: Path, asked: Any) -> dict[str, Any]:
    """All of it."""
    until, memory, busy = time.monotonic() + 60 * asked.minutes, [], []
    clients = [load.client(until) for _ in range(asked.clients)]
    await asyncio.gather(*clients, visitor(root, spare, until), watch(running.process.pid, until, memory, busy))
    quarter = max(1, len(memory) // 4)
    quarters = [statistics.median(memory[place * quarter :][:quarter] or memory) for place in range(4)]
    grown = {"quarters": quarters, "more_percent": 100 * (quarters[3] / quarters[1] - 1)}
    return {
        "machine": {"cores": os.cpu_count(), "load_average": round(statistics.median(busy), 1)},
        "asked": dict(load.counts),
        "wrong": len(load.wrong),
        "memory": grown,
        "drain": await drained(running, load),
    }


def main() -> None:
    """Load a server, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--backbone", default="tiny")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--clients", type=int, default=8)
    asked = parser.parse_args()
    import softprompt as sp

    asked.work.mkdir(parents=True, exist_ok=True)
    name, label = served.backbone_of(asked.backbone, asked.work), asked.backbone.replace(":", "-")
    root, spare = asked.work / f"load-{label}", asked.work / f"spare-{label}"
    shutil.rmtree(root / "visitor", ignore_errors=True)
    backbone = sp.load_backbone(name, dtype="float32")
    names = served.put_prompts(root, backbone, PROMPTS)
    (own,) = served.put_prompts(spare, backbone, 1)
    texts, right = known_answers(name, root, names)
    with served.serving(name, root) as running:
        load = Load(running.port, names, texts, right)
        found = {"minutes": asked.minutes, **asyncio.run(at_work(running, load, root, spare / own, asked))}
    for one in load.wrong[:5]:
        print("wrong:", one)
    print(json.dumps(found, indent=2))
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps({**before, asked.backbone: found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
