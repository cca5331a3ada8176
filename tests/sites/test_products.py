"""Where oneDNN multiplies faster the attached model computes with it, and nothing changes but rounding."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import FalconConfig, FalconForCausalLM

from softprompt.backbones import arithmetic
from softprompt.backbones.arithmetic import ProductRates
from softprompt.backbones.onednn import few, has_onednn
from softprompt.sites import one_row, products

from ..shared.models import ids, model, padded
from ..shared.prompts import attached, close, every_family, logits, tiny

pytestmark = pytest.mark.skipif(not has_onednn(), reason="torch was built without oneDNN")
ROWS = [ids(7, 1), ids(4, 2), ids(5, 3)]


@pytest.fixture
def faster(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A machine on which oneDNN is the faster one, for products of any size; counts how many it computes."""
    counted: list[int] = []
    own = products.by_onednn

    def counting(*given: Any) -> Tensor:
        counted.append(1)
        return own(*given)

    rates = ProductRates(float32=200, bfloat16=0, float16=0, onednn=True)
    monkeypatch.setattr(arithmetic, "measured_rates", lambda device: rates)
    monkeypatch.setattr(products, "by_onednn", counting)
    for name in ("_ROWS", "_PRODUCTS", "_WEIGHTS"):
        monkeypatch.setattr(products, name, 0)
    return counted


def step(prompted: Any, batch: Tensor, mask: Tensor) -> list[Tensor]:
    """Logits and every gradient, in a pass that trains and one that does not."""
    prompted.train()
    prompted.zero_grad()
    seen = torch.cat(logits(prompted, batch, mask))
    (seen * torch.linspace(-1, 1, seen.numel()).view_as(seen)).mean().backward()
    found = [p.grad.clone() for p in prompted.parameters() if p.grad is not None]
    prompted.eval()
    with torch.inference_mode():
        return [*found, *(one.clone() for one in logits(prompted, batch, mask))]


@every_family
@pytest.mark.parametrize("method", ["prompt_tuning", "capt", "lora", "full_finetuning"])
def test_answers_and_gradients_are_the_same(
    family: str, method: str, faster: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, mask = padded(ROWS, "right")
    torch.manual_seed(0)
    with tiny(family, method) as prompted:
        values = {name: one.clone() for name, one in prompted.state_dict().items()}
        made = step(prompted, batch, mask)
    assert faster
    faster.clear()
    monkeypatch.setattr(products, "_PRODUCTS", 1 << 40)
    with tiny(family, method) as prompted:
        prompted.load_state_dict(values)
        expected = step(prompted, batch, mask)
    assert not faster
    assert len(made) == len(expected)
    for one, other in zip(made, expected, strict=True):
        close(one, other, 1e-5)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_model_itself_computes_as_ever(family: str, faster: list[int]) -> None:
    own = model(family)
    kinds = {name: type(module) for name, module in own.named_modules()}
    with torch.no_grad():
        before = own(ROWS[0]).logits
        with attached(own, "prompt_tuning"):
            assert torch.equal(own(ROWS[0]).logits, before)
    assert not faster
    assert {name: type(module) for name, module in own.named_modules()} == kinds


def test_hooks_and_functions_of_others_stay_in_their_place(faster: list[int]) -> None:
    own = model("llama")
    first, other = (layer.mlp.down_proj for layer in own.model.layers[:2])
    seen: list[torch.Size] = []
    handle = first.register_forward_hook(lambda module, given, made: seen.append(made.shape))
    other.forward = lambda given: nn.functional.linear(given, other.weight) * 0
    try:
        with attached(own, "prompt_tuning") as prompted, torch.no_grad():
            seen.clear()  # a family's first attachment tries rows of its own
            logits(prompted, ROWS[0])
            assert len(seen) == 1
            with_nothing = torch.cat(logits(prompted, ROWS[0]))
            del other.forward
            assert not torch.equal(torch.cat(logits(prompted, ROWS[0])), with_nothing)
    finally:
        handle.remove()
        other.__dict__.pop("forward", None)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_family_may_name_what_it_gives(family: str, faster: list[int]) -> None:
    own = model(family)
    block = own.transformer.h[0].mlp if family == "gpt2" else own.model.layers[0].mlp
    linear, name = (block.c_fc, "x") if family == "gpt2" else (block.gate_proj, "input")
    given = torch.randn(2, 3, 32)
    with attached(own, "prompt_tuning") as prompted, torch.no_grad():
        handle = block.register_forward_pre_hook(lambda *_: found.append(linear(**{name: given})))
        found: list[Tensor] = []
        logits(prompted, ROWS[0])
        handle.remove()
    assert faster
    close(found[0], linear(given), 1e-5)


def test_small_models_and_small_products_are_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(device: torch.device) -> ProductRates:
        raise AssertionError("nothing is measured for a model that cannot gain")

    with monkeypatch.context() as patched:
        patched.setattr(arithmetic, "measured_rates", measured)
        with tiny("llama", "prompt_tuning") as prompted:
            logits(prompted, ROWS[0])
    layer = nn.Linear(512, 512)
    with torch.no_grad():
        assert products.product(layer, torch.ones(7, 512)) is None
        assert products.product(layer, torch.ones(8, 512)) is not None
        assert products.product(layer, torch.ones(2, 4, 512)) is not None
        assert products.product(nn.Linear(512, 1 << 13), torch.ones(3, 512)) is None
        assert products.product(nn.Linear(64, 64), torch.ones(16, 64)) is None
        assert products.product(layer.bfloat16(), torch.ones(16, 512, dtype=torch.bfloat16)) is None


def test_a_machine_on_which_torch_is_as_fast_changes_no_module(
    faster: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = ProductRates(float32=200, bfloat16=0, float16=0)
    monkeypatch.setattr(arithmetic, "measured_rates", lambda device: rates)
    own = model("llama")
    kinds = {name: type(module) for name, module in own.named_modules() if isinstance(module, nn.Linear)}
    with attached(own, "prompt_tuning") as prompted:
        logits(prompted, ROWS[0])
        asking = {name for name, kind in kinds.items() if type(own.get_submodule(name)) is not kind}
    assert not faster
    assert asking <= {"lm_head"}


@pytest.mark.parametrize(
    ("dtype", "size", "few"),
    [
        (torch.bfloat16, 256, True),
        (torch.float16, 256, True),
        (torch.bfloat16, 8, False),  # products that take no time
        (torch.float32, 256, False),  # MKL's, or of few sizes by `computing`
    ],
)
def test_what_torch_leaves_to_onednn_has_few_sizes(dtype: torch.dtype, size: int, few: bool) -> None:
    """Each new size costs a program, and memory between which tensors of other batches leave holes."""
    assert products.leaves_to_onednn(nn.Sequential(nn.Linear(size, size), nn.Linear(4, 4)).to(dtype)) == few


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_one_row_of_a_batch_in_bfloat16_has_few_widths(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_WEIGHTS", 1)
    monkeypatch.setattr(products, "computing", lambda _model: ())
    monkeypatch.setattr("softprompt.attached.model.computing", lambda _model: ())
    asked: list[int] = []
    monkeypatch.setattr(one_row, "few", lambda width: asked.append(width) or few(width))
    batch, mask = padded([ids(70, 1), ids(5, 2)], "right")
    with tiny("llama", "capt", dtype=dtype) as prompted, torch.no_grad():
        made = prompted(input_ids=batch, attention_mask=mask, use_cache=False).logits
        alone = prompted(input_ids=batch[1:, :5], use_cache=False).logits
    assert asked == ([77] if dtype == torch.bfloat16 else [])
    close(made[1:, :5].float(), alone.float(), 1e-5 if dtype == torch.float32 else 0.05)


class Written(nn.Linear):
    """The same layer in other words, as Falcon's."""

    def forward(self, given: Tensor) -> Tensor:
        made = given @ self.weight.T
        return made if self.bias is None else made + self.bias


class Scaled(nn.Linear):
    """Another layer."""

    def forward(self, given: Tensor) -> Tensor:
        return 2 * super().forward(given)


class Doubled(nn.Linear):
    """Another layer by what it does, not by what it has."""

    def forward(self, given: Tensor) -> Tensor:
        return nn.functional.linear(given, self.weight, None if self.bias is None else 2 * self.bias)


class Packed(nn.Linear):
    """A layer whose weight must be of a kind of its own."""

    def forward(self, given: Tensor) -> Tensor:
        assert self.weight.dtype == torch.int8, "a packed weight"
        return given


class Routed(nn.Linear):
    """A layer that needs more than a weight and a bias, and gives more than a tensor."""

    def forward(self, given: Tensor) -> Any:
        return given, self.scale * nn.functional.linear(given, self.weight)


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_in_other_words_is_one(bias: bool, faster: list[int]) -> None:
    state, own = torch.get_rng_state(), Written(8, 5, bias=bias)
    torch.set_rng_state(state)
    plain = nn.Linear(8, 5, bias=bias)
    assert list(products.computing(nn.Sequential(own, Scaled(8, 5), Doubled(8, 5), Routed(8, 5), Packed(8, 5)))) == [
        own
    ]
    given = torch.randn(6, 8)
    found = products.product(own, given)
    assert found is not None
    close(found, plain(given))


def test_trying_a_layer_draws_nothing() -> None:
    state = torch.get_rng_state()
    products._is_linear.cache_clear()
    assert products._is_linear(Written.forward)
    assert torch.equal(torch.get_rng_state(), state)


def test_falcon_computes_with_it(faster: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    falcon, found = FalconForCausalLM(FalconConfig(**sizes, pad_token_id=0)).eval(), []
    for rates in (arithmetic.measured_rates(torch.device("cpu")), ProductRates(float32=1, bfloat16=0, float16=0)):
        with monkeypatch.context() as patch:
            patch.setattr(arithmetic, "measured_rates", lambda device, rates=rates: rates)
            with attached(falcon, "capt") as prompted:
                faster.clear()  # of what is tried where a prompt is attached
                found.append(prompted(input_ids=ROWS[0]).logits)
        assert len(faster) == (0 if len(found) > 1 else 9)  # four of each layer, and the head
    close(*found)
