"""Peak memory of a training by one process, by two ranks, and by two ranks that split the frozen backbone (--shard).

python benchmarks/sharding.py --work FOLDER [--layers 24] [--hidden 768]

The backbone is a Llama of random weights in float32, the rows and the tokenizer are those of the tests. What a process
needs whatever the backbone is measured with one of three small layers. Peaks are of rank 0, from the first step on:
every rank loads the whole backbone before it is split. Prints the figures, and writes benchmarks/results/sharding.json.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "sharding.json"
METHODS = {"prompt_tuning": 20, "p_tuning_v2": 20, "capt": 1}  # virtual tokens
RANKS = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
ARMS = {"one process": [sys.executable], "two ranks": RANKS, "two ranks, split": RANKS}


def backbones(work: Path, layers: int, hidden: int) -> None:
    """The backbone that is measured, and a small one."""
    sys.path.insert(0, str(ROOT))
    from tests.shared.models import VOCABULARY, fresh, tokenizer
    from tests.shared.runs import task
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
    )
    for name, model in (("large", LlamaForCausalLM(config)), ("small", fresh("llama"))):
        model.save_pretrained(work / name)
        tokenizer().save_pretrained(work / name)
    task(work / "rows")


def trained(work: Path, arm: str, method: str, backbone: str) -> dict[str, Any]:
    """The metrics of a run."""
    out = work / f"{method}-{arm}-{backbone}".replace(" ", "-")
    given = {"backbone": work / backbone, "data": work / "rows" / "rows.jsonl", "method": method, "out": out}
    words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    words += ["--batch-size", "4", "--dtype", "float32", "--device", "cpu", "--learning-rate", "0.001", "--quiet"]
    words += [word for name in ("max_steps=3", "evaluations=1", "threads=1") for word in ("--set", name)]
    if method != "capt":
        words += ["--set", f"num_virtual_tokens={METHODS[method]}"]
    words += ["--shard"] if arm.endswith("split") else []
    subprocess.run([*ARMS[arm], "-m", "softprompt", "train", *words], check=True, stdout=subprocess.DEVNULL)
    metrics: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    return {**metrics, "folder": str(out / "prompt" / "prompt.safetensors")}


def main() -> None:
    """Measure all arms of all methods."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--work", type=Path, required=True)
    asked.add_argument("--layers", type=int, default=24)
    asked.add_argument("--hidden", type=int, default=768)
    given = asked.parse_args()
    shutil.rmtree(given.work, ignore_errors=True)
    given.work.mkdir(parents=True)
    backbones(given.work, given.layers, given.hidden)
    weights = sum(path.stat().st_size for path in (given.work / "large").glob("*.safetensors"))
    found: dict[str, Any] = {"backbone_bytes": weights, "layers": given.layers, "hidden": given.hidden}
    for method in METHODS:
        floor = trained(given.work, "one process", method, "small")["peak_memory_bytes"]
        found[method] = {"floor": floor}
        tables = {}
        for arm in ARMS:
            run = trained(given.work, arm, method, "large")
            found[method][arm] = run["peak_memory_bytes"]
            tables[arm] = load_file(run["folder"])
        first = tables["one process"]
        found[method]["largest_difference"] = max(
            float((one[name] - first[name]).abs().max()) for one in tables.values() for name in first
        )
        print(method, json.dumps(found[method], indent=1), flush=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
