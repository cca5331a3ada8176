"""Every edge of attaching works or is refused in one line, and leaves the backbone bit-equal."""

from __future__ import annotations

import pytest

from .attaching import EDGES, Edge, attempt

# What is refused, and a part of the line; the rest works.
REFUSED = {
    "layer_replaced": "layers of the backbone were replaced",
    "data_parallel": "DataParallel wraps the model: attach to the",
    "attached_itself": "attach to its backbone",
    "compiled": "compile the attached model",
    "compiled_in_place": "compile the attached model",
    "compiled_while_attached": "compile the attached model",
    "pickled_whole": "is not pickled: save the prompt",
    "saved_whole": "is not pickled: save the prompt",
    "detached_in_a_call": "detach once it is done",
    "removed_in_a_call": "remove 'prompt' once it is done",
    "in_inference_mode": "which cannot train",
    "without_memory": "is not in memory",
}


@pytest.mark.parametrize("edge", EDGES, ids=lambda edge: edge.__name__)
def test_every_edge(edge: Edge) -> None:
    """Over the families in turn; all meet all in `benchmarks/reliability.py`."""
    families = ("bert", "llama", "gpt2")
    told, same = attempt(edge, families[EDGES.index(edge) % len(families)])
    assert told is not None
    assert REFUSED.get(edge.__name__, "") in told
    assert bool(told) == (edge.__name__ in REFUSED)
    assert same
