"""The flows of attention as a table."""

from __future__ import annotations

from collections.abc import Sequence

from softprompt.explain.anchors.flows import AnchorKind, Flow

COLUMNS = ("attention", "weight", "rows", "seeds", "uniform", "score", "random", "removed")
_PLACES = {"body": "", "cross": "cross: ", "decoder": "decoder: "}


def flow_rows(kind: AnchorKind) -> list[list[str]]:
    """A line for each flow, in the order of `COLUMNS`."""
    return [
        [
            _PLACES[one.place] + flow_name(one),
            f"{one.weight:.3f}",
            *map(_share, (one.rows, one.seeds, one.uniform)),
            "-" if one.score is None else f"{one.score:.2f}",
            *map(_share, (one.random, one.removed)),
        ]
        for one in kind.flows
    ]


def flow_name(flow: Flow) -> str:
    """From where to where, in words."""
    target = "other slots" if flow.source == flow.target else flow.target
    return f"{flow.source} to {target}"


def layer_rows(kind: AnchorKind) -> tuple[list[str], list[list[str]]]:
    """The names of the columns, and a line for each layer of the body with the weight of each flow."""
    flows = [one for one in kind.flows if one.place == "body"]
    columns = ["layer", *map(flow_name, flows)]
    depth = len(flows[0].layers)
    return columns, [[str(layer), *(_share(one.layers[layer]) for one in flows)] for layer in range(depth)]


def told(kind: AnchorKind) -> str:
    """What the runs of a kind are, in a line."""
    seeds = [str(seed) for seed in kind.seeds if seed is not None]
    runs = "1 run" if kind.runs == 1 else f"{kind.runs} runs"
    return f"{kind.name} on {kind.task}, {kind.backbone}, {runs}" + (f" (seeds {', '.join(seeds)})" if seeds else "")


def notes(kinds: Sequence[AnchorKind], structural: str) -> list[str]:
    """What the columns mean, and what there is to know of these runs."""
    lines = [
        "weight: the share of attention, over layers, heads and rows; uniform: if all columns got alike",
        "rows, seeds: deviations of that share; score: the mean before the softmax, whose zero is arbitrary",
        "random: with random directions of the same lengths in the slots; removed: without the prompt",
        f"structural tokens: {structural}",
        "first: the text's first token, a known sink of attention, which is never structural",
    ]
    if any(map(_sees_nothing, kinds)):
        lines.append("a causal model shows slots in front nothing of the text")
    return lines


def _sees_nothing(kind: AnchorKind) -> bool:
    """Whether the slots ask and are shown no text."""
    flow = kind.flow("slot", "text")
    return flow is not None and flow.score is None


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
