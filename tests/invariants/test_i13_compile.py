"""I13: `torch.compile` makes one graph, with the same logits."""

from __future__ import annotations

import itertools
from copy import deepcopy
from typing import Any

import pytest
import torch
from transformers import StaticCache

from softprompt.methods import PromptTuning

from ..shared.models import CORE, ids, model, padded
from ..shared.prompts import METHODS, attached, close, logits, tiny

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning:torch"),
    pytest.mark.no_cover,  # the compiler is what runs here, and counting its lines takes as long again
]


def counted(graphs: list[Any]) -> Any:
    def backend(graph: Any, example: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    return backend


@pytest.fixture(autouse=True)
def _fresh() -> None:
    torch._dynamo.reset()


# Tracing takes seconds a model: each site meets each kind of backbone, each further family one site, and of the other
# methods these do more in a call than to insert what a table holds.
_KINDS, _SITES = ("bert", "t5", "llama"), ("capt", "p_tuning_v2", "prompt_tuning")
_CALLED = ("capt_extraction", "capt_residual", "dept", "idpg", "lopa", "lpt_average", "spt_learned", "full_finetuning")
_OFTEN = {(family, method) for family in _KINDS for method in _SITES}
_OFTEN |= set(zip([family for family in CORE if family not in _KINDS], itertools.cycle(_SITES[:2])))
_OFTEN |= {("bert", "deep_prompt"), ("t5", "spt"), *(("llama", method) for method in _CALLED)}
every_pair = pytest.mark.parametrize(
    ("family", "method"),
    [
        pytest.param(family, method, marks=() if (family, method) in _OFTEN else pytest.mark.slow)
        for family in CORE
        for method in METHODS
    ],
)


@every_pair
def test_one_graph(family: str, method: str) -> None:
    with tiny(family, method, layers=2) as prompted, torch.no_grad():
        graphs: list[Any] = []
        compiled = torch.compile(prompted, fullgraph=True, backend=counted(graphs))
        batch, mask = padded([ids(6, 1), ids(4, 2)], "left")
        expected = logits(prompted, batch, mask, use_cache=False)
        for _ in range(2):
            found = logits(_with_anatomy(compiled, prompted), batch, mask, use_cache=False)
            for one, other in zip(found, expected, strict=True):
                close(one, other)
        assert len(graphs) == 1


def _with_anatomy(compiled: Any, prompted: Any) -> Any:
    compiled.anatomy = prompted.anatomy
    return compiled


@pytest.mark.parametrize(
    ("family", "placement"),
    [
        ("bert", "front"),
        ("bert", "end"),
        ("llama", "after_bos"),
        *(pytest.param(*pair, marks=pytest.mark.slow) for pair in (("bert", "after_bos"), ("llama", "front"))),
        pytest.param("llama", "end", marks=pytest.mark.slow),
    ],
)
def test_without_a_mask_and_in_every_place(family: str, placement: str) -> None:
    method = PromptTuning(num_virtual_tokens=3, init="random_uniform", placement=placement)
    with tiny(family, method) as prompted, torch.no_grad():
        compiled = torch.compile(prompted, fullgraph=True, backend="eager")
        close(compiled(input_ids=ids(6)).logits, prompted(input_ids=ids(6)).logits)


@pytest.mark.parametrize("method", ["capt", "p_tuning_v2", pytest.param("prompt_tuning", marks=pytest.mark.slow)])
def test_training(method: str) -> None:
    with tiny("llama", method, layers=2) as prompted:
        compiled = torch.compile(prompted, fullgraph=True, backend="aot_eager")
        for model in (prompted, compiled):
            prompted.zero_grad()
            model(input_ids=ids(6), labels=ids(6), use_cache=False).loss.backward()
            found = [p.grad.clone() for p in prompted.prompts.parameters()]
            if model is prompted:
                expected = found
        for one, two in zip(found, expected, strict=True):
            close(one, two)


@pytest.mark.parametrize(
    ("family", "method"),
    [
        ("llama", "p_tuning_v2"),
        ("gemma3", "capt"),
        pytest.param("llama", "capt", marks=pytest.mark.slow),
        pytest.param("gemma3", "prompt_tuning", marks=pytest.mark.slow),
    ],
)
def test_a_static_cache(family: str, method: str) -> None:
    backbone = model(family, layers=2)
    with attached(backbone, method) as prompted, torch.no_grad():
        step = torch.compile(prompted, fullgraph=True, backend="eager")
        results = []
        for run in (prompted, step):
            past = StaticCache(backbone.config, max_cache_len=32)
            batch, mask = padded([ids(6, 1), ids(4, 2)], "left")
            prompted(input_ids=batch, attention_mask=mask, past_key_values=past, use_cache=True)
            for index in range(3):
                mask = torch.cat([mask, torch.ones(2, 1, dtype=mask.dtype)], 1)
                token = torch.full((2, 1), 10 + index)
                out = run(input_ids=token, attention_mask=mask, past_key_values=past, use_cache=True)
            results.append(out.logits)
        close(*results)


def test_what_a_graph_cannot_see_is_an_error() -> None:
    """A compiled model cannot look into its inputs, so these never pass in silence."""
    with tiny("llama", "prompt_tuning") as prompted, torch.no_grad():
        compiled = torch.compile(prompted, backend="eager")
        with pytest.raises(Exception, match="without virtual tokens"):
            compiled(input_ids=torch.arange(100, 104)[None])
        torch._dynamo.reset()
        with pytest.raises(Exception, match="packed rows run uncompiled"):
            torch.compile(prompted, backend="eager", fullgraph=True)(
                input_ids=ids(6), position_ids=torch.tensor([[0, 1, 2, 0, 1, 2]])
            )


@pytest.mark.parametrize(
    ("family", "method", "where"),
    [
        ("llama", "capt", "mlp"),
        pytest.param("llama", "prompt_tuning", "embed_tokens", marks=pytest.mark.slow),
        pytest.param("bert", "p_tuning_v2", "query", marks=pytest.mark.slow),
        pytest.param("bert", "capt", "attention", marks=pytest.mark.slow),
        pytest.param("llama", "full_finetuning", "lm_head", marks=pytest.mark.slow),
        pytest.param("t5", "p_tuning_v2", "SelfAttention", marks=pytest.mark.slow),
    ],
)
def test_graphs_that_break(family: str, method: str, where: str) -> None:
    """Part of the call then runs uncompiled, and each part that does not is compiled by itself, for all its modules."""
    backbone = deepcopy(model(family, layers=2))  # other tests share the model, and what follows breaks it
    for name, module in backbone.named_modules():
        if name.endswith(where):
            module.forward = _breaking(module.forward)
    with attached(backbone, method) as prompted, torch.no_grad():
        batch, mask = padded([ids(6, 1), ids(4, 2)], "left")
        expected = logits(prompted, batch, mask, use_cache=False)
        compiled = _with_anatomy(torch.compile(prompted, backend="eager"), prompted)
        for _ in range(2):
            for one, other in zip(logits(compiled, batch, mask, use_cache=False), expected, strict=True):
                close(one, other)


def _breaking(forward: Any) -> Any:
    def run(*args: Any, **kwargs: Any) -> Any:
        torch._dynamo.graph_break()
        return forward(*args, **kwargs)

    return run
