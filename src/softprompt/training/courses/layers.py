"""One fit over the layers that the method names; where training has to find them, a search before it."""

from __future__ import annotations

import math

import torch

from softprompt.backbones.resting import device_of
from softprompt.evaluation.score import Scores
from softprompt.methods.parts.gated import Gated
from softprompt.methods.parts.gates import Gates, kept_layers
from softprompt.methods.parts.layers import LayerSelection, OverLayers
from softprompt.training.courses.layer_search import SearchTrainer, halves, schedule, settled
from softprompt.training.courses.registry import course
from softprompt.training.courses.work import Work


@course("layers")
def layers(work: Work) -> Scores:
    """Settle the layers, draw the prompt anew at these alone, and train it on all rows."""
    method = work.method
    assert isinstance(method, OverLayers)
    wanted, total = method.selection, work.prompted.anatomy.num_layers
    if not wanted.settled:
        if wanted.learned:
            kept = _search(work, method)
        else:
            order = torch.randperm(total, generator=torch.Generator().manual_seed(work.seed))
            kept = tuple(sorted(order[: wanted.count].tolist()))
        work.replace(method=method.model_copy(update={"select": str(LayerSelection("numbers", numbers=kept))}))
        work.show.say(f"layers {', '.join(map(str, kept))} of 0 to {total - 1}")
    else:
        kept = wanted.of(total)
    work.report["kept_layers"] = [*kept]
    return work.fit("training" if wanted.learned else None)


def _search(work: Work, method: OverLayers) -> tuple[int, ...]:
    """The layers that the search keeps."""
    wanted, total = method.selection, work.prompted.anatomy.num_layers
    limit = wanted.limit(total)
    wanted.of(total)  # more layers than there are is told before anything is trained
    gates = Gates(total, method.gate, temperature=method.temperature)
    work.replace(producer=Gated(work.producer, gates.to(_device(work)), limit, method))
    size = work.plan.batch_size
    steps = work.options.max_steps or work.plan.epochs * math.ceil(len(work.items) / (size * work.options.accumulate))
    turns = max(1, round(method.search_share * steps))
    rows = schedule(halves(work.items, work.seed), turns, size, work.seed)
    work.fit(
        "search",
        plan=work.plan.model_copy(update={"epochs": 1}),
        # The gates' course is what counts: no evaluation ends the search.
        options=work.options.model_copy(update={"max_steps": None, "accumulate": 1, "patience": 2 * turns + 1}),
        items=rows,
        trainer=SearchTrainer,
    )
    course = work.extra_of("search")["gates"]
    found = settled(course)
    work.history += [{"stage": "search", "turn": turn + 1, "gates": gates} for turn, gates in enumerate(course)]
    work.report["gates"] = [round(value, 4) for value in found]
    return kept_layers(found, limit)


def _device(work: Work) -> torch.device:
    return device_of(work.prompted.backbone)
