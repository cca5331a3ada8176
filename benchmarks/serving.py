"""Sixty-four prompts over one model: how fast mixed batches are, what prompts cost in memory, how long a request waits.

python -m benchmarks.serving --work FOLDER [--backbone tiny|embedded:minilm|embedded:gemma3-270m] [--prompts 64]
    [--rows 256] [--repeats 5] [--seconds 20] [--threads 1]

Ratios of one run, each pair measured in turns so that a busy machine slows both:

- rows a second of mixed batches (each row another prompt, methods mixed) against batches of the same texts for one;
- against PEFT that switches adapters request by request: as many of its prompts of 20 tokens, a pass a request;
- unshared memory of a process with all prompts against one with one prompt;
- p50, p95, p99 over HTTP at a quarter, half and four fifths of what the server answered at most.

They are printed, and written to benchmarks/results/serving.json under the backbone's name.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]
from benchmarks import _served as served  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "serving.json"
_MEMORY = """
import gc, sys, psutil
sys.path[:0] = {path!r}
import softprompt as sp
from benchmarks import _served as served
from softprompt.backbones.freed import give_back
from softprompt.serving.engine import Engine
backbone = sp.load_backbone({name!r}, dtype="float32")
with Engine(backbone, {root!r}) as engine:
    engine.look()
    texts = served.texts_of(backbone, 64)
    names = engine.shelf.names
    for _ in range(2):
        asked = [one for place, text in enumerate(texts) for one in engine.ask(names[place % len(names)], [text])]
        engine.answer(asked)
        engine.forget(asked)
    gc.collect()
    give_back()  # as the server does every half a minute
    print(psutil.Process().memory_full_info().uss, engine.shelf.bytes)
"""


def rates(works: dict[str, Callable[[], int]], repeats: int) -> dict[str, float]:
    """Rows a second of several works, the median of some turns, after one that does not count."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(repeats + 1):
        for name, work in works.items():
            began = time.perf_counter()
            rows = work()
            if turn:
                found[name].append(rows / (time.perf_counter() - began))
    return {name: statistics.median(values) for name, values in found.items()}


def batches(engine: Any, asked: list[Any], budget: int) -> int:
    """Answer questions in batches, as the server makes them."""
    from softprompt.serving.fair import FairQueue
    from softprompt.serving.jobs import scored

    queue: FairQueue[Any] = FairQueue(pads=engine.pads)
    for one in asked:
        queue.add(scored(one, "answer", 0.0))
    while len(queue):
        found = engine.answer([job.question for job in queue.take(budget, late=-1.0)])
        assert not any(isinstance(one, Exception) for one in found), found
    return len(asked)


def peft_of(backbone: Any, prompts: int, texts: list[str]) -> Callable[[], int]:
    """As many prompts of PEFT's, switched for each request."""
    import torch
    from peft import PromptTuningConfig, TaskType, get_peft_model

    kind = TaskType.CAUSAL_LM if backbone.kind == "causal" else TaskType.FEATURE_EXTRACTION
    config = PromptTuningConfig(task_type=kind, num_virtual_tokens=20)
    model = get_peft_model(backbone.model, config, adapter_name="p0").eval()
    for place in range(1, prompts):
        model.add_adapter(f"p{place}", config)
    words = [
        backbone.tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in served.label_words(backbone)
    ]

    @torch.inference_mode()
    def ask() -> int:
        for place, text in enumerate(texts):
            model.set_adapter(f"p{place % prompts}")
            batch = backbone.tokenizer(text, return_tensors="pt")
            output = model(**batch)
            if kind == TaskType.CAUSAL_LM:
                output.logits[0, -1, words].softmax(-1).tolist()
            else:
                output.last_hidden_state[0].mean(0).tolist()
        return len(texts)

    return ask


def throughput(name: str, root: Path, names: list[str], rows: int, repeats: int) -> dict[str, Any]:
    """Rows a second of mixed batches, of one prompt's, and of PEFT."""
    import softprompt as sp
    from softprompt.serving.engine import Engine

    backbone = sp.load_backbone(name, dtype="float32")
    texts = served.texts_of(backbone, rows)
    with Engine(backbone, root) as engine:
        engine.look()
        mixed = [one for place, text in enumerate(texts) for one in engine.ask(names[place % len(names)], [text])]
        single = engine.ask(names[0], texts)
        works = {
            "mixed": lambda: batches(engine, mixed, 8192),
            "one_prompt": lambda: batches(engine, single, 8192),
        }
        own = rates(works, repeats)
        columns = {"mixed": sum(one.cost for one in mixed), "one_prompt": sum(one.cost for one in single)}
        engine.forget([*mixed, *single])
    own["peft_switching"] = rates({"peft": peft_of(backbone, len(names), texts)}, max(1, repeats // 2))["peft"]
    ratios = {
        "mixed_to_peft": own["mixed"] / own["peft_switching"],
        "mixed_to_one_prompt": own["mixed"] / own["one_prompt"],
    }
    return {"rows_a_second": own, "columns": columns, **ratios}


def memory(name: str, root: Path, one: Path) -> dict[str, Any]:
    """Unshared bytes of a process with one prompt and with all."""
    found = {}
    for label, folder in (("one", one), ("all", root)):
        code = _MEMORY.format(path=[str(ROOT), str(ROOT / "src")], name=name, root=str(folder))
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        found[label], found[f"{label}_prompt_bytes"] = int(told[0]), int(told[1])
    return {**found, "more_percent": 100 * (found["all"] / found["one"] - 1)}


def waits(name: str, root: Path, names: list[str], seconds: float, threads: int) -> dict[str, Any]:
    """Percentiles of single requests at three loads; the most is what a server answers to many clients at once."""
    import softprompt as sp

    texts = served.texts_of(sp.load_backbone(name, dtype="float32"), 64)
    bodies = [{"model": own, "input": text} for own in names for text in texts[:8]]
    found: dict[str, Any] = {}
    with served.serving(name, root, threads=threads) as running:

        async def most() -> float:
            began, turns = time.perf_counter(), 0
            while time.perf_counter() - began < max(2.0, seconds / 4):
                await asyncio.gather(*(served.ask(running.port, "POST", "/v1/classify", one) for one in bodies[:32]))
                turns += 32
            return turns / (time.perf_counter() - began)

        asyncio.run(most())
        found["most_a_second"] = rate = asyncio.run(most())
        for share in (0.25, 0.5, 0.8):
            told = asyncio.run(served.at_rate(running.port, bodies, share * rate, seconds))
            statuses = sorted({status for status, _ in told})
            times = served.percentiles([one for _, one in told])
            found[f"at_{share}"] = {"a_second": share * rate, "requests": len(told), "statuses": statuses, **times}
    return found


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--backbone", default="tiny")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    import torch

    import softprompt as sp

    torch.set_num_threads(asked.threads)
    asked.work.mkdir(parents=True, exist_ok=True)
    name = served.backbone_of(asked.backbone, asked.work)
    label = asked.backbone.replace(":", "-")
    root, alone = asked.work / f"prompts-{label}", asked.work / f"one-{label}"
    names = served.put_prompts(root, sp.load_backbone(name, dtype="float32"), asked.prompts)
    served.put_prompts(alone, sp.load_backbone(name, dtype="float32"), 1)
    found: dict[str, Any] = {"prompts": asked.prompts, "rows": asked.rows, "threads": asked.threads}
    for part, measure in {
        "throughput": lambda: throughput(name, root, names, asked.rows, asked.repeats),
        "memory": lambda: memory(name, root, alone),
        "waits_ms": lambda: waits(name, root, names, asked.seconds, asked.threads),
    }.items():
        found[part] = measure()
        print(part, json.dumps(found[part], indent=2), flush=True)
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps({**before, asked.backbone: found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
