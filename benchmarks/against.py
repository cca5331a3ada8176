"""Two checkouts side by side: a training step, `predict`, and the bytes of a seeded run.

    git worktree add ../before COMMIT
    python benchmarks/against.py --before ../before [--rounds 5]
    python benchmarks/against.py --before ../before --quick

Each side runs in processes of its own, in turns (before, after, before, ...), on the same rows of movie reviews; a
round's ratio is of neighbours in time, the figure is the median over the rounds, with the smallest and the largest.
Seeded runs must end in the same bytes on both sides. Figures go to benchmarks/results/against.json.

`--quick` compares bytes and losses alone, in under a minute: those of a short seeded run of every kind in
tests/fixtures, on tiny backbones. It writes no figures, and exits with 1 where one differs. Both sides are asked in
public names alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "against.json"
HERE = Path(__file__).parent.parent
HEADS = ("head_only", "autoprompt")  # that train no prompt, and refuse a rate of one
METHODS = ("prompt_tuning", "p_tuning_v2", "capt", "spt", "lora", "head_only")


def child(options: argparse.Namespace) -> None:
    """Measure one side, whose sources PYTHONPATH names."""
    import torch

    import softprompt as sp

    model, tokenizer = sp.load_backbone(options.backbone, dtype=options.dtype)
    rows = sp.Task.load("movie_reviews", shots=32, max_test_rows=64).splits(13).test
    texts = [row.fields["text"] for row in rows]
    found: dict[str, Any] = {}
    with sp.attach(model, tokenizer, sp.PromptTuning(num_virtual_tokens=20)) as prompted:
        prompted.train()
        batch = prompted.encode(texts[:16], truncation=True, max_length=64)
        width = batch["input_ids"].shape[1]
        selected = torch.full((16, 1), width - 1 if prompted.anatomy.kind == "causal" else 0)
        optimizer = torch.optim.AdamW([p for p in prompted.parameters() if p.requires_grad], lr=1e-3)
        seconds = []
        for _ in range(options.steps + 1):
            begun = time.perf_counter()
            states = prompted.states(**batch, positions=selected)
            states.float().square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            seconds.append(time.perf_counter() - begun)
        found["step"] = statistics.median(seconds[1:])
    with tempfile.TemporaryDirectory() as folder:
        task = sp.Task.load("movie_reviews", shots=8, max_test_rows=8)
        for method in METHODS if options.bytes else METHODS[:1]:
            run = sp.train(
                model, tokenizer, task, method, output=f"{folder}/{method}", progress=False, max_steps=4, threads=1
            )
            stored = Path(folder, method, "prompt", "prompt.safetensors").read_bytes()
            found[f"sha256 of {method}"] = hashlib.sha256(stored).hexdigest()
            if method == METHODS[0]:
                seconds = []
                for _ in range(options.steps + 1):
                    begun = time.perf_counter()
                    run.predict(texts)
                    seconds.append(time.perf_counter() - begun)
                found["predict"] = statistics.median(seconds[1:])
    print(json.dumps(found, allow_nan=False))


def bytes_of_kinds(folder: Path) -> dict[str, str]:
    """What a seeded run of every kind stores, and its losses, as sha256 by its name; `folder` is worked in."""
    import transformers
    from tests.fixtures.kinds import LONG, PROMPTS, STOPPED, Bench
    from tests.fixtures.unpacked import unpack

    transformers.utils.logging.disable_progress_bar()
    os.chdir(unpack(folder))
    bench, found = Bench(), {}
    short = {f"two steps of {name}": (made, {}) for name, made in PROMPTS.items()}
    long = {f"ten steps of {name}": (made, LONG) for name, (made, _, _) in STOPPED.items()}
    for name, (made, options) in {**short, **long}.items():
        unheard = {"learning_rate": None} if made.method in HEADS else {}
        run = bench.train(made, f"runs/{name}", **{**options, **unheard}, threads=1)
        # The losses, too: where no step was better than the start, the start is what is stored.
        losses = [[point.get(key) for key in ("train_loss", "loss")] for point in run.metrics["history"]]
        stored = (run.folder / "prompt" / "prompt.safetensors").read_bytes()
        found[name] = hashlib.sha256(stored + json.dumps(losses).encode()).hexdigest()
    return found


def quick(before: Path) -> None:
    """Compare bytes alone; the sides run at the same time."""
    command = [sys.executable, "-W", "ignore", __file__, "--child", "--quick"]
    with tempfile.TemporaryDirectory() as folder:
        sides = []
        for name, root in (("before", before.resolve()), ("after", HERE)):
            path = os.pathsep.join([str(root / "src"), str(HERE)])
            env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
            place = [*command, "--before", f"{folder}/{name}"]
            sides.append(subprocess.Popen(place, stdout=subprocess.PIPE, text=True, env=env))
        told = [one.communicate()[0] for one in sides]
    if any(one.returncode for one in sides):
        raise SystemExit("a side failed: its fault stands above")
    one, other = (json.loads(text.splitlines()[-1]) for text in told)
    differ = [name for name in one if one[name] != other[name]]
    print("\n".join([*(f"other bytes: {name}" for name in differ), f"{len(one) - len(differ)} of {len(one)} alike"]))
    raise SystemExit(1 if differ else 0)


def side(root: Path, backbone: str, dtype: str, with_bytes: bool, steps: int) -> dict[str, Any]:
    """One side in a process of its own."""
    command = [sys.executable, __file__, "--child", "--backbone", backbone, "--dtype", dtype, "--steps", str(steps)]
    command += ["--bytes"] if with_bytes else []
    env = {**os.environ, "PYTHONPATH": str(root / "src")}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(options: argparse.Namespace, backbone: str, dtype: str) -> dict[str, Any]:
    """The ratios after / before of each measure, and whose bytes differ."""
    roots = {"before": options.before.resolve(), "after": HERE}
    rounds: list[dict[str, dict[str, Any]]] = []
    for number in range(options.rounds):
        order = list(roots) if number % 2 == 0 else list(roots)[::-1]
        rounds.append({name: side(roots[name], backbone, dtype, number == 0, options.steps) for name in order})
        print(f"{backbone} {dtype}: round {number + 1}/{options.rounds}", file=sys.stderr, flush=True)
    result: dict[str, Any] = {"backbone": backbone, "dtype": dtype}
    for measure in ("step", "predict"):
        ratios = [one["after"][measure] / one["before"][measure] for one in rounds]
        result[measure] = {
            "before_s": round(statistics.median(one["before"][measure] for one in rounds), 4),
            "after_s": round(statistics.median(one["after"][measure] for one in rounds), 4),
            "ratio": round(statistics.median(ratios), 3),
            "from": round(min(ratios), 3),
            "to": round(max(ratios), 3),
        }
    hashes = [name for name in rounds[0]["before"] if name.startswith("sha256")]
    same = [name.removeprefix("sha256 of ") for name in hashes if rounds[0]["before"][name] == rounds[0]["after"][name]]
    other = [name.removeprefix("sha256 of ") for name in hashes if name.removeprefix("sha256 of ") not in same]
    return {**result, "same_bytes": same, "other_bytes": other}


def main() -> None:
    """Compare on each backbone and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="the other checkout")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--backbone", nargs="+", default=["embedded:minilm", "embedded:gemma3-270m"])
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--quick", action="store_true", help="bytes alone, on tiny backbones")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--bytes", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child and options.quick:
        print(json.dumps(bytes_of_kinds(options.before)))
        return
    if options.child:
        options.backbone = options.backbone[0]
        child(options)
        return
    if options.before is None:
        parser.error("--before FOLDER names the checkout to compare with")
    if options.quick:
        quick(options.before)
    found = [compare(options, backbone, options.dtype) for backbone in options.backbone]
    RESULTS.write_text(json.dumps(found, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2, allow_nan=False))


if __name__ == "__main__":
    main()
