"""Virtual columns shared by a batch, and a last feed-forward at the selected columns, change nothing but rounding."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    DynamicCache,
    LlamaConfig,
    NemotronConfig,
    PhimoeConfig,
    Qwen2MoeConfig,
    StableLmConfig,
)

from softprompt.attached.attach import attach
from softprompt.attached.model import PromptedModel
from softprompt.errors import SoftPromptError
from softprompt.methods import PTuningV2
from softprompt.methods import method as method_of
from softprompt.sites import hooks
from softprompt.sites.one_row import in_one_row
from softprompt.sites.prefix_sharing import why_unshared

from ..shared.models import HEADS, HIDDEN, LAYERS, VOCABULARY, ids, model, padded, tokenizer
from ..shared.prompts import attached, close, every_decoder, logits, producer, tiny

ROWS = [ids(7, 1), ids(4, 2), ids(5, 3)]
every_static = pytest.mark.parametrize("method", ["prompt_tuning", "deep_prompt", "p_tuning_v2"])
# Two questions about one text and a third that is the text alone; a row by itself; two labels of a text; a row twice.
FRONTS = [
    torch.cat([ids(9, 1), ids(4, 2)[:, 1:]], 1),
    torch.cat([ids(9, 1), ids(3, 3)[:, 1:]], 1),
    ids(9, 1),
    ids(5, 4),
    torch.cat([ids(6, 5), ids(3, 6)[:, 1:]], 1),
    torch.cat([ids(6, 5), ids(2, 7)[:, 1:]], 1),
    ids(7, 8),
    ids(7, 8),
]


@pytest.fixture
def sharing(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the batches that shared their columns."""
    counted: list[int] = []

    def counting(*args: Any) -> Any:
        counted.append(len(args[2]))
        return in_one_row(*args)

    monkeypatch.setattr(hooks, "in_one_row", counting)
    return counted


def step(prompted: Any, batch: Tensor, mask: Tensor, **options: Any) -> list[Tensor]:
    """The loss and every gradient."""
    prompted.zero_grad()
    seen = torch.cat(logits(prompted, batch, mask, **options))
    loss = (seen * torch.linspace(-1, 1, seen.numel()).view_as(seen)).mean()
    loss.backward()
    return [loss.detach(), *(p.grad.clone() for p in prompted.parameters() if p.grad is not None)]


@every_decoder
@every_static
@pytest.mark.parametrize("window", [5, 64])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("rows", ["apart", "fronts"])
def test_shared_columns_equal_each_rows_own(
    family: str, method: str, side: str, window: int, rows: str, sharing: list[int]
) -> None:
    batch, mask = padded(ROWS if rows == "apart" else FRONTS, side)
    with tiny(family, method, window=window) as prompted:
        own = logits(prompted, batch, mask, use_cache=True)
        assert not sharing
        shared = logits(prompted, batch, mask, use_cache=False)
        assert sharing == [len(batch)]
        for one, other in zip(own, shared, strict=True):
            close(one, other, 1e-5)
        for one, other in zip(
            step(prompted, batch, mask, use_cache=True), step(prompted, batch, mask, use_cache=False), strict=True
        ):
            close(one, other, 1e-5)


@pytest.mark.parametrize(
    ("rows", "method", "expected"),
    [
        (ROWS, "prompt_tuning", 4 + 16),  # no padding
        (FRONTS, "prompt_tuning", 4 + (9 + 3 + 2) + 5 + (6 + 2 + 1) + 7),
        (FRONTS, "p_tuning_v2", (9 + 3 + 2) + 5 + (6 + 2 + 1) + 7),
    ],
)
def test_no_column_runs_twice_and_no_padding(rows: list[Tensor], method: str, expected: int) -> None:
    widths: list[int] = []
    with tiny("llama", method) as prompted, torch.no_grad():
        handle = prompted.anatomy.layers[0].mlp.register_forward_pre_hook(
            lambda _, args: widths.append(args[0].shape[1])
        )
        logits(prompted, *padded(rows, "right"), use_cache=False)
        handle.remove()
    assert widths == [expected]


def test_a_chosen_column_that_rows_share_asks_the_head_once() -> None:
    batch, mask = padded(FRONTS, "right")
    chosen = torch.tensor([[8, 11], [8, 10], [8, 8], [4, 0], [5, 7], [5, 6], [6, 6], [6, 6]])
    widths: list[int] = []
    with tiny("llama", "prompt_tuning") as prompted:
        whole = prompted(input_ids=batch, attention_mask=mask, use_cache=True).logits
        handle = prompted.backbone.lm_head.register_forward_pre_hook(lambda _, args: widths.append(args[0].shape[1]))
        found = prompted(input_ids=batch, attention_mask=mask, use_cache=False, positions=chosen).logits
        handle.remove()
        states = prompted.states(input_ids=batch, attention_mask=mask, use_cache=False, positions=chosen)
    close(found, whole[torch.arange(8)[:, None], chosen], 1e-5)
    assert states.shape[:2] == (8, 2)
    close(prompted.backbone.lm_head(states), found, 1e-5)
    assert widths == [9]


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_weighed_prefixes_are_weighed_in_one_row_too(family: str, sharing: list[int]) -> None:
    batch, mask = padded(FRONTS, "right")
    with tiny(family, "p_tuning_v2") as prompted, torch.no_grad():
        prompted.prompts[0].prefix_values = lambda: torch.tensor([0.3, 1.0, 0.6])
        own, shared = (logits(prompted, batch, mask, use_cache=cached) for cached in (True, False))
    assert sharing == [8]
    for one, other in zip(own, shared, strict=True):
        close(one, other, 1e-5)


@pytest.mark.parametrize("other", ["p_tuning_v2", "prompt_tuning"])
def test_weighed_prefixes_beside_another_prompt_are_refused(other: str) -> None:
    """Before, they stood there unweighed."""
    backbone = model("llama")
    prompts = {name: producer(backbone, method) for name, method in (("weighed", "p_tuning_v2"), ("other", other))}
    with attach(backbone, tokenizer(), prompts) as prompted, torch.no_grad():
        prompted.prompts[0].prefix_values = lambda: torch.tensor([0.3, 1.0, 0.6])
        for cached in (True, False):
            with pytest.raises(SoftPromptError, match="weigh their layers .* stand alone: call their rows apart"):
                prompted(input_ids=ids(4).expand(2, -1), prompts=["weighed", "other"], use_cache=cached)
            assert prompted(input_ids=ids(4), prompts="weighed", use_cache=cached).logits.isfinite().all()


def test_a_row_without_text_is_not_shared(reasons: list[str | None]) -> None:
    batch, mask = padded(ROWS, "right")
    mask[1] = 0
    with tiny("llama", "prompt_tuning") as prompted, torch.no_grad():
        reasons.clear()  # a family's first attachment tries rows of its own
        found = prompted(input_ids=batch, attention_mask=mask, use_cache=False).logits
    assert reasons == ["a row has no text"]
    assert found.isfinite().all()


@every_decoder
def test_columns_are_shared_without_a_mask_too(family: str, sharing: list[int]) -> None:
    batch = torch.cat([ids(6, 1), ids(6, 2)])
    with tiny(family, "prompt_tuning") as prompted, torch.no_grad():
        for one, other in zip(
            logits(prompted, batch, use_cache=True), logits(prompted, batch, use_cache=False), strict=True
        ):
            close(one, other, 1e-5)
    assert sharing == [2]


@every_decoder
def test_states_that_nobody_caches_come_of_one_row(family: str, sharing: list[int]) -> None:
    batch, mask = padded(ROWS, "left")
    with tiny(family, "capt") as prompted, torch.no_grad():
        own = prompted.states(input_ids=batch, attention_mask=mask, use_cache=True)
        assert not sharing
        close(prompted.states(input_ids=batch, attention_mask=mask)[mask.bool()], own[mask.bool()], 1e-5)
    assert sharing == [3]


@pytest.fixture
def reasons(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """Why the batches were not shared, None for one that was."""
    told: list[str | None] = []

    def telling(*args: Any) -> str | None:
        told.append(why_unshared(*args))
        return told[-1]

    monkeypatch.setattr(hooks, "why_unshared", telling)
    return told


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, None),
        ({"output_attentions": True}, "output_attentions"),
        ({"output_hidden_states": True}, "output_hidden_states"),
        ({"position_ids": torch.arange(5)[None]}, "position_ids"),
        ({"use_cache": None}, "cache"),
        ({"use_cache": True}, "cache"),
    ],
)
def test_what_would_show_is_not_shared(
    options: dict[str, Any], why: str | None, sharing: list[int], reasons: list[str | None]
) -> None:
    batch = torch.cat([ids(5, 1), ids(5, 2)])
    with tiny("llama", "prompt_tuning") as prompted:
        reasons.clear()  # a family's first attachment tries rows of its own
        sharing.clear()
        logits(prompted, batch, **{"use_cache": False, **options})
    assert len(sharing) == (why is None)
    (told,) = reasons
    assert told == why if why is None else why in str(told)


@pytest.mark.parametrize(
    ("family", "method", "rows", "attention", "why"),
    [
        ("llama", "prompt_tuning", 1, "sdpa", "there is one row"),
        ("llama", "prompt_tuning", 2, "eager", "attention runs as eager"),
        ("bert", "prompt_tuning", 2, "sdpa", "hardly a column is padding"),
        ("t5", "prompt_tuning", 2, "sdpa", "family 't5' is no encoder or decoder"),
    ],
)
def test_each_reason_is_told(
    family: str, method: str, rows: int, attention: str, why: str, reasons: list[str | None]
) -> None:
    batch = torch.cat([ids(5, row) for row in range(rows)])
    with attached(model(family, attention=attention), method) as prompted, torch.no_grad():
        prompted.states(input_ids=batch, **({"use_cache": False} if family == "llama" else {}))
        if family != "llama":  # what makes no cache is told as what it is
            given = {"input_ids": batch, "use_cache": False}
            reasons.append(why_unshared(prompted.anatomy, [prompted.prompts[0].footprint], (0,) * rows, given))
    assert why in str(reasons[-1])


SEVERAL = [
    ("prompt_tuning", 3),
    ("deep_prompt", 2),
    ("p_tuning_v2", 5),
    ("capt", 1),
    ("capt", 3),
    ("p_tuning_v2", 2),
    ("p_tuning", 2),
    ("prompt_tuning", 1),
]
MIXED = (3, 0, 2, 3, 1, 0, 4, 5, 3, 2, 6, 7, 3, 0)  # of the bank, in no order
TEXTS = [ids(length, seed) for length, seed in ((7, 1), (4, 2), (5, 3), (5, 3), (9, 4), (9, 5), (3, 6))] * 2


@contextmanager
def bank(family: str, window: int = 64, **options: Any) -> Iterator[PromptedModel]:
    """Prompts of several methods and lengths over one model."""
    backbone = model(family, window=window, **options)
    named = {
        f"{place} {name}": producer(backbone, method_of(name, num_virtual_tokens=count), seed=place)
        for place, (name, count) in enumerate(SEVERAL)
    }
    with attach(backbone, tokenizer(), named) as prompted:
        yield prompted


@every_decoder
@pytest.mark.parametrize("window", [5, 64])
@pytest.mark.parametrize("side", ["left", "right"])
def test_rows_of_several_prompts_equal_each_alone(family: str, side: str, window: int, sharing: list[int]) -> None:
    batch, mask = padded(TEXTS, side)
    with bank(family, window) as prompted:
        shared = logits(prompted, batch, mask, prompts=MIXED, use_cache=False)
        assert sharing == [len(TEXTS)]
        for row, prompt, one in zip(TEXTS, MIXED, shared, strict=True):
            close(one, logits(prompted, row, prompts=[prompt], use_cache=False)[0], 1e-5)
        assert len(sharing) == 1
        for one, other in zip(
            step(prompted, batch, mask, prompts=MIXED, use_cache=True),
            step(prompted, batch, mask, prompts=MIXED, use_cache=False),
            strict=True,
        ):
            close(one, other, 1e-5)
        assert len(sharing) == 2


def test_of_several_prompts_each_runs_its_virtual_tokens_once() -> None:
    widths: list[int] = []
    rows = [ids(9, 1), ids(9, 1), ids(5, 2), ids(5, 2), ids(5, 2), ids(4, 3), ids(3, 4)]
    with bank("llama") as prompted, torch.no_grad():
        handle = prompted.anatomy.layers[0].mlp.register_forward_pre_hook(
            lambda _, args: widths.append(args[0].shape[1])
        )
        # Prompt Tuning and keys and values have a text of two rows each, CaPT's two rows of one text are two.
        logits(prompted, *padded(rows, "right"), prompts=[0, 0, 2, 2, 4, 1, 4], use_cache=False)
        handle.remove()
    assert widths == [(3 + 9) + 5 + (2 + 4) + (3 + 5) + (3 + 3)]


@pytest.mark.parametrize("method", ["capt", "idpg", "dept", "prompt_tuning", "p_tuning"])
@pytest.mark.parametrize("placement", ["front", "after_bos", "end"])
@pytest.mark.parametrize("conditioned", [False, True])
def test_a_prompt_that_stands_in_each_row_sees_its_own_text(
    method: str, placement: str, conditioned: bool, sharing: list[int]
) -> None:
    batch, mask = padded([*ROWS, ids(5, 3), ids(1, 4)], "left")
    told = mask.bool() & (torch.arange(batch.shape[1]) % 3 != 1)
    told[2] = False  # a row of which nothing conditions
    options = {"conditioning_mask": told} if conditioned else {}
    with tiny("gemma3", method) as prompted:
        prompted.prompts[0].placement = placement
        prompted.slots[0] = replace(prompted.slots[0], placement=placement)
        own = logits(prompted, batch, mask, use_cache=True, **options)
        shared = logits(prompted, batch, mask, use_cache=False, **options)
        assert sharing == [5]
        for one, other in zip(own, shared, strict=True):
            close(one, other, 1e-5)
        for one, other in zip(
            step(prompted, batch, mask, use_cache=True, **options),
            step(prompted, batch, mask, use_cache=False, **options),
            strict=True,
        ):
            close(one, other, 1e-5)


@pytest.mark.parametrize(
    ("lengths", "prompts", "pays"),
    [
        ((5, 5, 5, 5), (3, 3, 3, 3), False),  # CaPT shares nothing, and there is no padding to speak of
        ((9, 5, 7, 4), (3, 3, 3, 3), True),
        ((5, 5, 5, 5), (2, 5, 0, 1), True),  # prompts of other lengths are padding, too
        ((9, 9, 9, 9), (2, 3, 5, 3), False),
        ((9, 9, 9, 9), (2, 2, 3, 5), True),  # two rows of a prompt may have a front in common
    ],
)
def test_rows_that_share_nothing_and_fill_the_batch_run_as_they_are(
    lengths: tuple[int, ...], prompts: tuple[int, ...], pays: bool, reasons: list[str | None]
) -> None:
    batch, mask = padded([ids(length, seed) for seed, length in enumerate(lengths)], "right")
    with bank("llama") as prompted, torch.no_grad():
        prompted(input_ids=batch, attention_mask=mask, prompts=prompts, use_cache=False)
    assert reasons[-1] == (None if pays else "its rows share nothing, and hardly a column is padding")


def made(configuration: type = LlamaConfig, **options: Any) -> Any:
    """A tiny model of its own, with weights large enough to show."""
    config = configuration(
        vocab_size=VOCABULARY, hidden_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        num_key_value_heads=2, intermediate_size=36, max_position_embeddings=64, pad_token_id=0, **options,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, 0.25)
    return model


class Mixing(nn.Module):
    """A layer's feed-forward behind a causal convolution over the columns."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.mix = nn.Conv1d(HIDDEN, HIDDEN, 3, padding=2)

    def forward(self, states: Tensor) -> Tensor:
        mixed: Tensor = self.mix(states.transpose(1, 2))[:, :, : states.shape[1]]
        out: Tensor = self.inner(states + mixed.transpose(1, 2))
        return out


def renamed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A llama whose attention does not know the keyword."""
    monkeypatch.setattr(hooks, "SHARED_PREFIX", "softprompt_other")
    return made()


def deaf(_: Any) -> Any:
    """A llama whose last layer alone keeps its keywords from its attention."""
    model = made()
    attention = model.model.layers[-1].self_attn
    inner = attention.forward
    names = ("hidden_states", "position_embeddings", "attention_mask", "past_key_values")
    attention.forward = lambda **given: inner(**{name: given.get(name) for name in names})
    return model


KEPT = {
    "another keyword": renamed,
    "one deaf layer": deaf,
    "stablelm": lambda _: made(StableLmConfig),
    "nemotron": lambda _: made(NemotronConfig),
    # Their windows stand in the mask of the model alone.
    "phimoe": lambda _: made(PhimoeConfig, sliding_window=4, num_local_experts=4),
    "qwen2_moe": lambda _: made(
        Qwen2MoeConfig,
        use_sliding_window=True,
        sliding_window=4,
        num_experts=4,
        moe_intermediate_size=16,
        shared_expert_intermediate_size=16,
    ),
}


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("chosen", [None, torch.tensor([[2], [1], [3]])], ids=["all columns", "selected"])
@pytest.mark.parametrize("method", ["prompt_tuning", "p_tuning_v2"])
@pytest.mark.parametrize("kept", KEPT)
def test_attention_that_is_not_told_gives_its_rows_apart(
    kept: str,
    method: str,
    chosen: Tensor | None,
    checkpointing: bool,
    sharing: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first call finds out and computes anew; no later one tries."""
    batch, mask = padded(ROWS, "right")
    options = {} if chosen is None else {"positions": chosen}
    with attached(KEPT[kept](monkeypatch), method) as prompted:
        own = prompted(input_ids=batch, attention_mask=mask, use_cache=True, **options).logits
        prompted.zero_grad()
        own.square().mean().backward()
        expected = [parameter.grad.clone() for parameter in prompted.prompts.parameters()]
        if checkpointing:
            prompted.activation_checkpointing_enable({"use_reentrant": False})
            prompted.train()
        for _ in range(2):
            prompted.zero_grad()
            found = prompted(input_ids=batch, attention_mask=mask, use_cache=False, **options).logits
            close(found, own, 1e-5)
            found.square().mean().backward()
            for parameter, gradient in zip(prompted.prompts.parameters(), expected, strict=True):
                close(parameter.grad, gradient, 1e-5)
        assert sharing == [3]


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("config", [StableLmConfig, NemotronConfig])
def test_a_prefix_reaches_attention_that_is_not_told(config: Any, checkpointing: bool) -> None:
    """These layers drop their keywords; keys and values reach their attention as those of a cache do."""
    backbone = made(config)
    with attached(backbone, PTuningV2(num_virtual_tokens=3, init_std=1.0)) as prompted:
        (table,) = prompted.prompts.parameters()
        if checkpointing:
            prompted.activation_checkpointing_enable()
            prompted.train()
        logits = prompted(input_ids=ROWS[0], use_cache=False).logits
        found = torch.autograd.grad(logits.square().sum(), table)[0]
        prompted.activation_checkpointing_disable()
        cache = DynamicCache()
        for layer, (key, value) in enumerate(prompted.prompts[0].keys_values()):
            cache.update(key[None], value[None], layer)
        mask = torch.ones(1, 3 + ROWS[0].shape[1], dtype=torch.long)
        wanted = backbone(input_ids=ROWS[0], attention_mask=mask, past_key_values=cache).logits
        torch.testing.assert_close(logits, wanted, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found, torch.autograd.grad(wanted.square().sum(), table)[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("method", ["prompt_tuning", "p_tuning_v2"])
def test_attention_with_a_mask_of_its_own_gives_its_rows_apart(method: str, sharing: list[int]) -> None:
    """Some families rework the mask inside attention: what was shared is not used there."""
    model = made()
    for layer in model.model.layers:
        inner = layer.self_attn.forward
        layer.self_attn.forward = lambda attention_mask=None, inner=inner, **given: inner(
            attention_mask=None if attention_mask is None else attention_mask.expand(-1, HEADS, -1, -1), **given
        )
    batch, mask = padded(ROWS, "right")
    with attached(model, method) as prompted, torch.no_grad():
        found = logits(prompted, batch, mask, use_cache=False)
        for row, one in zip(ROWS, found, strict=True):
            close(one, logits(prompted, row, use_cache=False)[0], 1e-5)
    assert sharing == [3]


def test_columns_that_meet_outside_attention_are_not_shared(sharing: list[int]) -> None:
    batch, mask = padded(ROWS, "right")
    model = made()
    model.model.layers[1].mlp = Mixing(model.model.layers[1].mlp)
    with attached(model, "prompt_tuning") as prompted, torch.no_grad():
        found = logits(prompted, batch, mask, use_cache=False)
        for row, one in zip(ROWS, found, strict=True):
            close(one, logits(prompted, row, use_cache=False)[0], 1e-5)
    assert not sharing


@pytest.mark.parametrize(
    "options", [{"layer_types": ["full_attention", "chunked_attention", "full_attention"]}, {"attention_chunk_size": 4}]
)
def test_other_attention_is_not_shared(options: dict[str, Any], sharing: list[int]) -> None:
    model = made()
    for name, value in options.items():
        setattr(model.config, name, value)
    with attached(model, "prompt_tuning") as prompted, torch.no_grad():
        logits(prompted, *padded(ROWS, "right"), use_cache=False)
        assert not prompted.anatomy.meets_in_attention
    assert not sharing


@every_decoder
@pytest.mark.parametrize("method", ["prompt_tuning", "capt", "p_tuning_v2"])
def test_selected_columns_equal_those_of_all(family: str, method: str) -> None:
    batch, mask = padded(ROWS, "left")
    chosen = torch.tensor([[batch.shape[1] - 1], [batch.shape[1] - 2], [batch.shape[1] - 1]])
    with tiny(family, method) as prompted:
        everything = prompted(input_ids=batch, attention_mask=mask, use_cache=False, output_hidden_states=True)
        some = prompted(input_ids=batch, attention_mask=mask, use_cache=False, positions=chosen)
    rows = torch.arange(3)[:, None]
    close(some.logits, everything.logits[rows, chosen], 1e-5)


@every_decoder
@pytest.mark.parametrize("method", ["capt", "prompt_tuning", "p_tuning_v2"])
def test_a_column_that_is_wanted_twice_has_its_gradient_twice(family: str, method: str) -> None:
    batch, mask = padded(ROWS, "right")
    found = []
    for chosen in ([[2, 1, 2], [1, 1, 0], [3, 2, 2]], None):
        with tiny(family, method) as prompted:
            wanted = {} if chosen is None else {"positions": torch.tensor(chosen)}
            logits = prompted(input_ids=batch, attention_mask=mask, use_cache=False, **wanted).logits
            places = torch.tensor([[2, 1, 2], [1, 1, 0], [3, 2, 2]])
            logits = logits if chosen else logits[torch.arange(3)[:, None], places]
            (logits.float().log_softmax(-1)[..., 5] * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
            found.append([one.grad.clone() for one in prompted.prompts.parameters() if one.grad is not None])
    assert found[0]
    for one, other in zip(*found, strict=True):
        close(one, other, 1e-4)


@every_decoder
def test_the_last_feed_forward_sees_the_selected_columns_only(family: str) -> None:
    batch, mask = padded(ROWS, "right")
    chosen = torch.tensor([[2], [1], [3]])
    widths: list[int] = []
    with tiny(family, "prompt_tuning") as prompted:
        inner = next(m for m in prompted.anatomy.last_feed_forward.modules() if not list(m.children()))
        handle = inner.register_forward_pre_hook(lambda _, args: widths.append(args[0].shape[-2]))
        shown = {"positions": chosen, "output_hidden_states": True}  # each row then has its own virtual tokens
        for options, expected in (({}, 4 + 16), ({"positions": chosen}, 3), (shown, 4 + 7)):
            widths.clear()
            prompted(input_ids=batch, attention_mask=mask, use_cache=False, **options)
            assert widths[-1] == expected
        handle.remove()
