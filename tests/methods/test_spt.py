"""SPT equals its equations written down row by row, with torch's own adaptive pooling."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool1d, adaptive_max_pool1d

from softprompt.attached.attach import attach, build
from softprompt.errors import SoftPromptError
from softprompt.methods import LPT, SPT, method
from softprompt.methods.parts import tables
from softprompt.methods.parts.generators import LevelGenerator

from ..shared.by_hand import ByHand, neutral
from ..shared.models import HIDDEN, LAYERS, ids, model, padded, tokenizer
from ..shared.prompts import METHODS, TARGET, attached, close, every_family, graded, logits, producer, tiny

EXAMPLES = {
    "spt": {"method": "spt", "select": "odd", "num_virtual_tokens": 2, "bottleneck": 8, "dropout": 0.0,
            "init_std": 0.5},
    "spt_max": {"method": "spt", "select": "all", "num_virtual_tokens": 2, "bottleneck": 8, "dropout": 0.0,
                "pool": "max", "combine": "add", "embedding": "generated", "init": "linear"},
    "spt_token": {"method": "spt", "select": "1", "num_virtual_tokens": 2, "bottleneck": 8, "dropout": 0.0,
                  "pool": "token", "tau": 0.5},
    "spt_learned": {"method": "spt", "select": "learned:1", "num_virtual_tokens": 2, "bottleneck": 8, "dropout": 0.0,
                    "init_std": 0.5, "families": ["bert", "t5", "llama"]},
}  # fmt: skip

K = 3
ROWS = [ids(7, 1), ids(2, 2), ids(5, 3)]
POOLS = {"average": adaptive_avg_pool1d, "max": adaptive_max_pool1d}
COMBINE = {"replace": {}, "average": {"tau": 0.5}, "add": {"combine": "add"}}


def generated(made: Any, pool: str, text: Tensor, family: str) -> Tensor:
    """G of one row's states `(n, H)`, shape `(k, H)`."""
    if isinstance(made, LevelGenerator):
        level = text / text.square().mean(-1, keepdim=True).add(1e-6).sqrt()
        return made.start + plain(made, pool, level, family)
    return plain(made, pool, text, family)


def plain(net: Any, pool: str, text: Tensor, family: str) -> Tensor:
    """W_up relu(Pool_k(W_down H + b_down)) + b_up, shape `(k, H)`."""
    bias = 0.0 if net.up.bias is None else net.up.bias
    down = text @ net.down.weight.T + net.down.bias
    if pool == "token":
        return (net.up.weight @ down[0 if family == "bert" else -1].clamp(min=0) + bias).view(K, -1)
    pooled = POOLS[pool](down.T[None], K)[0].T
    return pooled.clamp(min=0) @ net.up.weight.T + bias


def below(backbone: Any, count: int) -> Tensor:
    """P~_0: what the slots hold before layer 0 where nothing is written, `(1, k, H)`."""
    start = neutral(backbone)
    if backbone.config.model_type == "bert":
        part = backbone.bert.embeddings
        start = part.LayerNorm(start + part.position_embeddings.weight[0] + part.token_type_embeddings.weight[0])
    return start.expand(1, count, -1)


def check(family: str, options: SPT) -> None:
    """The library, padded on either side, a row shorter than k among them, against the loop by hand."""
    backbone, chosen = model(family), options.selection.of(LAYERS)
    with attached(backbone, options) as prompted, torch.no_grad():
        made = prompted.prompts[0]
        found = {side: logits(prompted, *padded(ROWS, side)) for side in ("left", "right")}
    free = options.embedding == "free"

    def rule(layer: int, before: Tensor | None, text: Tensor, mask: Tensor) -> Tensor | None:
        if layer not in chosen:
            return None
        before = below(backbone, K) if before is None else before
        if layer == 0 and free:
            new = made.table.expand(len(text), -1, -1)
        else:
            net = made.generators[str(layer)]
            rows = [generated(net, options.pool, t[m.bool()], family) for t, m in zip(text, mask, strict=True)]
            new = torch.stack(rows)
        if options.combine == "add":
            return before + new
        return (1 - options.tau) * before + options.tau * new

    given, mask = padded(ROWS, "right")
    decoder_ids = TARGET.expand(len(ROWS), -1) if family == "t5" else None
    with torch.no_grad():
        derived = ByHand(backbone, given, mask, K, decoder_ids, start=neutral(backbone)).logits(rule)
    for row, seen, left, right in zip(derived, mask, found["left"], found["right"], strict=True):
        expected = row if family == "t5" else row[seen.bool()]
        close(right, expected, 1e-5)
        close(left, expected, 1e-5)


@pytest.mark.parametrize("family", ["t5", "llama", "bert"])
@pytest.mark.parametrize("pool", ["average", "max", "token"])
@pytest.mark.parametrize("select", ["all", "1", "0,2"])
@pytest.mark.parametrize("init", ["words", "linear"])
def test_the_generators(family: str, pool: str, select: str, init: str) -> None:
    """Layers that are left out see the slots as the layer below made them."""
    options = SPT(num_virtual_tokens=K, bottleneck=6, pool=pool, select=select, embedding="generated", init=init)
    check(family, options)


@pytest.mark.parametrize("family", ["t5", "llama", "bert"])
@pytest.mark.parametrize("combine", list(COMBINE))
@pytest.mark.parametrize("embedding", ["free", "generated"])
def test_the_recursions(family: str, combine: str, embedding: str) -> None:
    options = {"embedding": embedding, **COMBINE[combine]}
    for select in ("all", "0,2"):
        check(family, SPT(num_virtual_tokens=K, bottleneck=6, select=select, **options))


def test_at_the_middle_layer_it_is_late_prompt_tuning() -> None:
    """The same generator at the same layer; LPT's slots are zeros below it, so a first layer is compared."""
    options = {"select": "0", "embedding": "generated", "init": "linear"}
    spt = build(model("llama"), tokenizer(), SPT(num_virtual_tokens=K, bottleneck=6, **options))
    lpt = build(model("llama"), tokenizer(), LPT(layer=0, generator="appg", num_virtual_tokens=K, bottleneck=6))
    spt.generators["0"].load_state_dict(lpt.generator.state_dict())
    with torch.no_grad():
        found = []
        for one in (spt, lpt):
            with attach(model("llama"), tokenizer(), one) as prompted:
                found.append(logits(prompted, *padded(ROWS, "left")))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))
    assert SPT(select="middle").selection.of(LAYERS) == (LAYERS // 2,)


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma3"])
def test_training_starts_where_words_in_front_would_stand(family: str) -> None:
    """On causal models the untrained prompt is a text of words, whatever the row."""
    backbone = model(family)
    drawn = torch.tensor([17, 44, 5])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "population", lambda setting: drawn)
        patch.setattr(torch, "randperm", lambda count, generator: torch.arange(count))
        made = build(backbone, tokenizer(), SPT(num_virtual_tokens=K, select="all"))
    for row in ROWS[0], ROWS[2]:
        with torch.no_grad(), attach(backbone, tokenizer(), made) as prompted:
            found = prompted(input_ids=row).logits
        with torch.no_grad():
            words = backbone(input_ids=torch.cat([drawn[None], row], dim=1)).logits[:, K:]
        close(found, words, 1e-5)


@pytest.mark.parametrize("family", ["bert", "t5", "llama"])
def test_a_layers_vectors_move_in_the_units_of_its_states(family: str) -> None:
    """The rate of what makes them is that of the usual state there, found in the model's own hidden states."""
    backbone = model(family)
    made = build(backbone, tokenizer(), SPT(select="1,2"))
    whole = copy.deepcopy(backbone)  # transformers leaves hooks on what gives hidden states
    own = whole.get_encoder() if family == "t5" else whole.base_model
    with torch.no_grad():
        ids = torch.linspace(0, backbone.config.vocab_size - 1, 16).long()[None]
        states = own(input_ids=ids, output_hidden_states=True).hidden_states
    for layer in (1, 2):
        size = float(states[layer][0].square().mean(-1).sqrt().median())
        for part in ("start", "up.weight"):
            assert made.rates()[f"generators.{layer}.{part}"] == pytest.approx(size, rel=1e-4)
    assert build(backbone, None, SPT(select="1,2"), blank=True).rates() == made.rates()
    assert not build(backbone, tokenizer(), SPT(select="1,2", init="linear")).rates()


def test_what_is_added_starts_at_nothing() -> None:
    backbone, (given, mask) = model("llama"), padded(ROWS, "right")
    made = build(backbone, tokenizer(), SPT(num_virtual_tokens=K, select="1,2", combine="add"))
    with torch.no_grad(), attach(backbone, tokenizer(), made) as prompted:
        found = logits(prompted, given, mask)
    with torch.no_grad():
        derived = ByHand(backbone, given, mask, K, None, start=neutral(backbone)).logits(lambda *_: None)
    for row, seen, one in zip(derived, mask, found, strict=True):
        close(one, row[seen.bool()], 1e-5)


@every_family
def test_scalars(family: str) -> None:
    d, m, k = HIDDEN, 16, 5
    layers = 2 * d * m + m + k * d
    token = d * m + m + k * d * (m + 1)
    expected = {
        ("all", "average", "free"): 2 * layers + k * d,
        ("all", "average", "generated"): 3 * layers,
        ("1,2", "max", "free"): 2 * layers,
        ("input", "average", "free"): k * d,
        ("learned", "average", "generated"): 3 * layers,  # before its search
        ("middle", "token", "free"): token,
    }
    linear = SPT(num_virtual_tokens=k, bottleneck=m, select="1,2", init="linear")
    made = build(model(family), tokenizer(), linear)
    assert sum(p.numel() for p in made.parameters()) == 2 * (2 * d * m + m + d)
    for (select, pool, embedding), scalars in expected.items():
        options = SPT(num_virtual_tokens=k, bottleneck=m, select=select, pool=pool, embedding=embedding)
        made = build(model(family), tokenizer(), options)
        assert sum(p.numel() for p in made.parameters()) == scalars
        assert sum(value.numel() for value in made.stored().values()) == scalars
        assert made.hidden_layers == set(options.selection.of(LAYERS))


def test_the_published_count() -> None:
    """ALoRA's comparison: 8 layers, m = 256, on LLaMA-2-7B 8 * 2 * 4096 * 256 = 16.8 M, biases aside."""
    options = SPT()
    assert (str(options.selection), options.bottleneck, options.num_virtual_tokens) == ("learned", 256, 10)
    small = build(model("llama"), tokenizer(), SPT(select="1,2", bottleneck=256))
    weights = sum(p.numel() for name, p in small.named_parameters() if name.endswith("weight"))
    assert weights == 2 * 2 * HIDDEN * 256
    assert weights * 4 * 4096 // HIDDEN == 16_777_216  # 8 layers of width 4096


@every_family
def test_nothing_below_the_lowest_layer_takes_part(family: str) -> None:
    with tiny(family, SPT(num_virtual_tokens=2, select="2")) as prompted:
        assert graded(prompted) == [False, False, True]


def test_the_prompt_is_fixed_when_the_text_was_read() -> None:
    with tiny("llama", SPT(num_virtual_tokens=2, select="all", embedding="generated")) as prompted, torch.no_grad():
        shorter, longer = ids(5), torch.cat([ids(5), ids(4, 9)[:, 1:]], dim=1)
        asked = torch.arange(longer.shape[1])[None] < 5
        close(prompted(input_ids=longer, conditioning_mask=asked).logits[:, :5], prompted(input_ids=shorter).logits)


def test_dropout_falls_on_generated_vectors_while_training_only() -> None:
    with tiny("llama", SPT(num_virtual_tokens=4, select="all", dropout=0.5)) as prompted, torch.no_grad():
        still = logits(prompted, ids(5))[0]
        assert torch.equal(logits(prompted, ids(5))[0], still)
        prompted.train()
        assert not torch.equal(logits(prompted, ids(5))[0], still)


def test_the_start_of_the_slots_is_no_part_of_the_prompt() -> None:
    made = producer(model("bert"), "spt")
    assert "start" not in made.stored()
    again = build(model("bert"), None, METHODS["spt"], blank=True)
    again.load_stored(made.stored())
    assert torch.equal(again.start, made.start)  # without a tokenizer too
    close(made.start, neutral(model("bert")), 1e-6)


def test_what_is_refused() -> None:
    def refused(match: str, **options: Any) -> None:
        with pytest.raises(SoftPromptError, match=match) as error:
            attach(model("llama"), tokenizer(), method("spt", **options))
        assert "\n" not in str(error.value)

    refused("has layers 0 to 2, but select names layer 7", select="1,7")
    refused("has 3 layers, but select=first:4: choose K from 1 to 3", select="first:4")
    refused("has 3 layers, but select=learned:8: choose K from 1 to 3", select="learned:8")
    refused("option 'select' of method 'spt': choose from all, .*given: 'best'", select="best")
    refused("option 'select' of method 'spt': layers stand once each and in ascending order", select="2,1")
    refused("option 'pool' of method 'spt'", pool="median")
    refused("option 'tau' of method 'spt'", tau=0.0)
    refused("option 'gate' of method 'spt'", gate="sometimes")
