"""One training step beside PEFT's and beside the bare frozen body: time, peak memory, share of the processor's peak.

    python benchmarks/step.py [--workloads prompt_tuning capt ...] [--rows 16] [--tokens 64] [--virtual 20] [--rounds 3]

A step is a forward pass, a backward pass and an update, with the cross-entropy over the vocabulary at the last position
of each row. Opponents: PEFT as its documentation shows it, where it has the method, and `bare`: the frozen body alone
on the text's embeddings, forward and backward to them, without a prompt, a head or a loss.

Each side runs in processes of its own, in turns (A B C, A B C), on the same rows; a round's ratios are of neighbours in
time, the figures are medians over rounds. Steps of one round differ less than rounds do, so a round's time is the
median of its steps; the first step of a process warms it up and is not counted. The loss of a workload whose start both
sides share is compared, and Prompt Tuning's gradient with PEFT's in the first type, so both sides are known to do the
same mathematics. What is counted and profiled is told in `_machine.py`. Absolute times depend on the machine; read
the ratios. Figures go to benchmarks/results/step.json, the tables to step.md beside it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _common import in_a_process, write
from _machine import counted, kinds, peak_of, processor
from safetensors.torch import load_file, save_file
from torch import Tensor

RESULTS = Path(__file__).parent / "results" / "step.json"
# PEFT's configuration and its keywords, where it has the method; the same sizes as ours.
PEERS: dict[str, tuple[str, dict[str, Any]] | None] = {
    "prompt_tuning": ("PromptTuningConfig", {"num_virtual_tokens": "virtual"}),
    "p_tuning_v2": ("PrefixTuningConfig", {"num_virtual_tokens": "virtual"}),
    "lora": ("LoraConfig", {"r": 8, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj"]}),
    "deep_prompt": None,
    "capt": None,
}
COUNTS = {"prompt_tuning": "virtual", "p_tuning_v2": "virtual"}
Step = Callable[[], Tensor]


def batch_of(vocab_size: int, rows: int, tokens: int) -> tuple[Tensor, Tensor]:
    """Random ids `(rows, tokens)` and the id to predict after each row `(rows,)`."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(10, vocab_size, (rows, tokens), generator=generator)
    return ids, torch.randint(10, vocab_size, (rows,), generator=generator)


def ours(workload: str, model: Any, tokenizer: Any, ids: Tensor, goal: Tensor, virtual: int) -> tuple[list[Any], Step]:
    """What is trained, and the loss of a step of softprompt: the head at the last position alone."""
    import softprompt as sp

    given = {"num_virtual_tokens": virtual} if workload in COUNTS else {}
    prompted = sp.attach(model, tokenizer, sp.method(workload, **given)).train()
    last = torch.full((len(ids), 1), ids.shape[1] - 1)
    return [one for one in prompted.parameters() if one.requires_grad], lambda: torch.nn.functional.cross_entropy(
        prompted(input_ids=ids, positions=last, use_cache=False).logits[:, 0].float(), goal
    )


def peft(workload: str, model: Any, tokenizer: Any, ids: Tensor, goal: Tensor, virtual: int) -> tuple[list[Any], Step]:
    """What is trained, and the loss of a step of PEFT as its documentation shows it: labels of -100 but the last."""
    import peft as library

    del tokenizer
    name, given = PEERS[workload] or ("", {})
    given = {key: virtual if value == "virtual" else value for key, value in given.items()}
    wrapped = library.get_peft_model(model, getattr(library, name)(task_type="CAUSAL_LM", **given)).train()
    whole = torch.cat([ids, goal[:, None]], dim=1)
    labels = torch.full_like(whole, -100)
    labels[:, -1] = goal
    own = {"input_ids": whole, "attention_mask": torch.ones_like(whole), "labels": labels}
    trained = [one for one in wrapped.parameters() if one.requires_grad]
    return trained, lambda: wrapped(**own, use_cache=False).loss


def bare(workload: str, model: Any, tokenizer: Any, ids: Tensor, goal: Tensor, virtual: int) -> tuple[list[Any], Step]:
    """The text's embeddings, and a sum over what the frozen body makes of them."""
    del workload, tokenizer, goal, virtual
    model.requires_grad_(False)
    given = model.get_input_embeddings()(ids).detach().requires_grad_()
    mask = torch.ones_like(ids)
    return [given], lambda: model.base_model(
        inputs_embeds=given, attention_mask=mask, use_cache=False
    ).last_hidden_state.sum()


SIDES = {"peft": peft, "softprompt": ours, "bare": bare}


def measure(options: argparse.Namespace) -> None:
    """Run one side in this process and print its numbers as JSON."""
    import softprompt as sp
    from softprompt.training.measure import peak_memory, reset_peak

    workload, dtype = options.workloads[0], options.dtypes[0]
    model, tokenizer = sp.load_backbone(options.backbone, dtype=dtype)
    ids, goal = batch_of(model.get_input_embeddings().num_embeddings, options.rows, options.tokens)
    torch.manual_seed(0)
    trained, loss_of = SIDES[options.side](workload, model, tokenizer, ids, goal, options.virtual)
    if workload == "prompt_tuning" and options.side != "bare":  # both from the same vectors
        vectors = torch.randn(trained[0].shape, generator=torch.Generator().manual_seed(1))
        trained[0].data = vectors.to(trained[0].dtype)
    optimizer = torch.optim.AdamW(trained, lr=1e-3)

    def step() -> float:
        loss = loss_of()
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    peak, seconds = peak_of(model.device, getattr(torch, dtype)), []
    reset_peak(model.device)
    for repeat in range(options.repeats):
        begun = time.perf_counter()
        loss = step()
        seconds.append(time.perf_counter() - begun)
        if repeat == 0:
            first = loss
            save_file({"gradient": trained[0].grad.float().clone()}, options.folder / f"{options.side}.safetensors")
        optimizer.zero_grad()
    found = {"loss": first, "seconds": seconds[1:], "peak_bytes": peak_memory(model.device), "peak_flops": peak}
    if options.side != "peft":
        found |= {"flops": counted(step), "kinds": kinds(step)}
    print(json.dumps(found, allow_nan=False))


def run(side: str, workload: str, dtype: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run one side in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--workloads", workload, "--dtypes", dtype]
    command += ["--folder", str(folder)]
    for name in ("backbone", "rows", "tokens", "virtual", "repeats"):
        command += [f"--{name}", str(getattr(options, name))]
    return in_a_process(f"{workload} {dtype}: {side}", command)


def compare(workload: str, dtype: str, reference: Tensor | None, options: argparse.Namespace) -> dict[str, Any]:
    """All sides of a workload in one type, and Prompt Tuning's gradients beside a reference."""
    sides = [side for side in SIDES if side != "peft" or PEERS[workload]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rounds = [{side: run(side, workload, dtype, options, folder) for side in sides} for _ in range(options.rounds)]
        gradients = {side: load_file(folder / f"{side}.safetensors")["gradient"] for side in sides if side != "bare"}
    times = {side: [statistics.median(one[side]["seconds"]) for one in rounds] for side in sides}
    mine, last = times["softprompt"], rounds[-1]["softprompt"]
    found = {
        "workload": workload,
        "dtype": dtype,
        "seconds": times,
        "peak_bytes": {side: max(one[side]["peak_bytes"] for one in rounds) for side in sides},
        "ratio": {
            side: statistics.median(b / a for a, b in zip(mine, times[side], strict=True))
            for side in sides
            if side != "softprompt"
        },
        "flops": last["flops"],
        "share_of_peak": statistics.median(
            one["softprompt"]["flops"] / second / one["softprompt"]["peak_flops"]
            for one, second in zip(rounds, mine, strict=True)
        ),
        "bare_share_of_peak": statistics.median(
            one["bare"]["flops"] / second / one["bare"]["peak_flops"]
            for one, second in zip(rounds, times["bare"], strict=True)
        ),
        "peak_gflops": statistics.median(one["softprompt"]["peak_flops"] for one in rounds) / 1e9,
        "kinds": last["kinds"],
        "loss": {side: rounds[0][side]["loss"] for side in gradients},
        **processor(),
    }
    if workload == "prompt_tuning":
        reference = gradients["peft"] if reference is None else reference
        apart = {side: float((own - reference).norm() / reference.norm()) for side, own in gradients.items()}
        found |= {"from_reference": apart, "reference": reference}
    return found


def tables(found: list[dict[str, Any]], options: argparse.Namespace) -> str:
    """Ratios, memory and shares of the peak; then where a step's time goes."""
    lines = [
        f"One step of {options.rows} rows of {options.tokens} tokens, {options.backbone}, "
        f"{found[0]['cores']} cores ({found[0]['processor']}); medians of {options.rounds} rounds.\n",
        "| method | type | PEFT, s | ours, s | bare body, s | faster than PEFT | bare body / ours "
        "| PEFT, GB | ours, GB | share | TFLOP | of the peak | bare body, of the peak | GFLOP/s at the peak |",
        "|---" * 14 + "|",
    ]
    for one in found:
        middle = {side: statistics.median(values) for side, values in one["seconds"].items()}
        peak, has = one["peak_bytes"], "peft" in middle
        cells = (
            one["workload"],
            one["dtype"],
            f"{middle['peft']:.2f}" if has else "",
            f"{middle['softprompt']:.2f}",
            f"{middle['bare']:.2f}",
            f"{one['ratio']['peft']:.1f}x" if has else "",
            f"{one['ratio']['bare']:.2f}x",
            f"{peak['peft'] / 1e9:.2f}" if has else "",
            f"{peak['softprompt'] / 1e9:.2f}",
            f"{peak['softprompt'] / peak['peft']:.2f}" if has else "",
            f"{one['flops'] / 1e12:.2f}",
            f"{one['share_of_peak']:.0%}",
            f"{one['bare_share_of_peak']:.0%}",
            f"{one['peak_gflops']:.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    names = list(dict.fromkeys(name for one in found for name in one["kinds"]))
    lines += ["\nWhere the time of our step goes:\n", f"| method | type | {' | '.join(names)} |"]
    lines.append("|---" * (len(names) + 2) + "|")
    for one in found:
        shares = (f"{one['kinds'].get(name, 0):.0%}" for name in names)
        lines.append(f"| {one['workload']} | {one['dtype']} | {' | '.join(shares)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Parse, measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="embedded:gemma3-270m")
    parser.add_argument("--workloads", nargs="+", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--virtual", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--side", choices=list(SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        measure(options)
        return
    found: list[dict[str, Any]] = []
    for workload in options.workloads:
        reference = None
        for dtype in options.dtypes:
            one = compare(workload, dtype, reference, options)
            reference = one.pop("reference", None)
            found.append(one)
            write(options.results, found, tables(found, options))
    print(tables(found, options))


if __name__ == "__main__":
    main()
