"""What is placed is reached, in models that pad inside themselves and call their layers in ways of their own."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForCausalLM
from transformers.modeling_outputs import BaseModelOutput

from softprompt.attached.attach import attach
from softprompt.errors import SoftPromptError
from softprompt.methods import CaPT, PromptTuning, PTuningV2
from softprompt.sites import activations, norms

from ..shared.models import FAMILIES, ids, model, padded, tokenizer
from ..shared.prompts import attached, close, logits, producer
from ..shared.unusual import unusual

# family: tokens of its row, which with a capsule are no multiple of a window; BigBird's sparse attention needs many
INSIDE = {"longformer": 13, "big_bird": 28}


def states(body: Any, row: Tensor, mask: Tensor | None = None, **options: Any) -> Any:
    return body(input_ids=row, attention_mask=torch.ones_like(row) if mask is None else mask, **options)


def capsules_by_hand(prompted: Any, vectors: Tensor, row: Tensor) -> Tensor:
    """CaPT's equations 1 and 2 around the bare model's layers: the capsule is a padding word's place in front."""
    part, count = prompted.anatomy, row.shape[1]

    def before(layer: int) -> Any:
        def rewrite(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            entering = (args[0] if args else kwargs["hidden_states"]).clone()
            own = entering[:, 1 : 1 + count] if layer == 0 else entering[:, : 1 + count]  # what is behind is padding
            entering[:, 0] = vectors[layer, 0] + own.mean(1)
            return (entering, *args[1:]), kwargs

        return rewrite

    hooks = [one.register_forward_pre_hook(before(i), with_kwargs=True) for i, one in enumerate(part.layers)]
    try:
        wide = torch.cat([ids(1), row], 1)
        places = (torch.arange(1 + count) - 1).clamp(min=0)[None] + part.position_offset  # the capsule takes none
        told = {"position_ids": places} if part.takes_position_ids else {}
        return part.body(input_ids=wide, attention_mask=torch.ones_like(wide), **told).last_hidden_state[:, 1:]
    finally:
        for hook in hooks:
            hook.remove()


@pytest.mark.parametrize("family", INSIDE)
@torch.no_grad()
def test_capsules_condition_on_the_text_alone_where_a_model_pads_inside_itself(family: str) -> None:
    backbone, row = unusual(family), ids(INSIDE[family], 1)
    made = producer(backbone, CaPT())
    with attach(backbone, tokenizer(), made) as prompted:
        got = prompted.states(input_ids=row, attention_mask=torch.ones_like(row))
    close(got, capsules_by_hand(prompted, next(made.parameters()), row))


@torch.no_grad()
def test_a_pooler_reads_the_texts_first_column_where_a_model_pads_inside_itself() -> None:
    """The prompt's columns leave the states before it reads them, the model's own padding after."""
    backbone, row = unusual("big_bird"), ids(29, 1)
    with attach(backbone, tokenizer(), PromptTuning(num_virtual_tokens=2)) as prompted:
        out = states(prompted, row)
        assert out.last_hidden_state.shape[1] == row.shape[1]
        pooled = backbone.activation(backbone.pooler(out.last_hidden_state[:, 0]))
        close(out.pooler_output, pooled)
        chosen = torch.tensor([[4, 28]])
        close(states(prompted, row, positions=chosen).last_hidden_state[0], out.last_hidden_state[0, chosen[0]])


@torch.no_grad()
def test_layers_that_are_not_called_as_modules_take_nothing() -> None:
    """SqueezeBERT runs `layer.forward`: the input embedding is reached, the layers are not."""
    backbone, row = unusual("squeezebert"), ids(5)
    bare = states(backbone, row).last_hidden_state
    with attach(backbone, tokenizer(), producer(backbone, PromptTuning(num_virtual_tokens=3))) as prompted:
        got = states(prompted, row).last_hidden_state
        words = torch.cat([prompted.prompts[0].embed(None)[None], backbone.get_input_embeddings()(row)], 1)  # type: ignore[operator, index]
    close(got, backbone(inputs_embeds=words).last_hidden_state[:, 3:])
    assert float((got - bare).abs().max()) > 0.01
    with pytest.raises(SoftPromptError, match="'squeezebert' cannot serve the site 'hidden'.*prompt_tuning"):
        attach(backbone, tokenizer(), CaPT())


@torch.no_grad()
def test_layers_that_are_no_more_called_as_modules_are_told_as_such() -> None:
    backbone = AutoModel.from_config(unusual("splinter").config).eval()

    def past_hooks(hidden_states: Tensor, attention_mask: Any = None, **_: Any) -> BaseModelOutput:
        for layer in backbone.encoder.layer:
            hidden_states = layer.forward(hidden_states, attention_mask)
        return BaseModelOutput(last_hidden_state=hidden_states)

    with attach(backbone, tokenizer(), {"words": PromptTuning(num_virtual_tokens=2), "capsules": CaPT()}) as prompted:
        vars(backbone.encoder)["forward"] = past_hooks
        assert states(prompted, ids(5), prompts="words").last_hidden_state.shape[1] == 5
        with pytest.raises(SoftPromptError, match="'splinter' does not call its layers as modules.*prompt_tuning"):
            states(prompted, ids(5), prompts="capsules")


@pytest.mark.parametrize("method", [PromptTuning(num_virtual_tokens=3), CaPT(init_std=0.5)])
def test_states_that_are_no_cache_are_left_out(method: Any) -> None:
    """RWKV writes its states in place and hands its mask to nobody: gradients, padding and generation hold."""
    backbone = unusual("rwkv", AutoModelForCausalLM)
    with attach(backbone, tokenizer(), method) as prompted:
        (table,) = prompted.prompts.parameters()
        loss = prompted(input_ids=ids(6), labels=ids(6)).loss
        assert float(torch.autograd.grad(loss, table)[0].abs().sum()) > 0
        with torch.no_grad():
            for side in ("left", "right"):
                rows = [ids(6), ids(8, 1)]
                for row, found in zip(rows, logits(prompted, *padded(rows, side)), strict=True):
                    close(found, logits(prompted, row)[0])
            whole = ids(5)
            for _ in range(3):
                seen = torch.ones_like(whole, dtype=torch.bool)
                seen[:, 5:] = False  # what is generated conditions no capsule
                last = prompted(input_ids=whole, conditioning_mask=seen).logits[:, -1:]
                whole = torch.cat([whole, last.argmax(-1)], dim=1)
            made = prompted.generate(ids(5), max_new_tokens=3, do_sample=False, eos_token_id=None)
        assert made.tolist() == whole.tolist()


@torch.no_grad()
def test_layers_that_were_replaced_are_told_as_such() -> None:
    backbone = AutoModel.from_config(unusual("splinter").config).eval()
    with attach(backbone, tokenizer(), CaPT()) as prompted:
        layers = backbone.encoder.layer
        layers[1] = type(layers[1])(backbone.config)
        with pytest.raises(SoftPromptError, match="layers of the backbone were replaced since"):
            states(prompted, ids(5))


@pytest.mark.parametrize("side", ["left", "right"])
@torch.no_grad()
def test_an_encoder_whose_attention_says_nothing_of_causal_sees_later_tokens(side: str) -> None:
    """Splinter's eager attention takes no mask where all is seen: a prefix must not make it causal."""
    backbone = unusual("splinter", attention="eager")
    with attach(backbone, tokenizer(), producer(backbone, PTuningV2(num_virtual_tokens=3, init_std=1.0))) as prompted:
        rows = [ids(7, 1), ids(4, 2)]
        batch, mask = padded(rows, side)
        together = states(prompted, batch, mask).last_hidden_state
        for got, seen, row in zip(together, mask, rows, strict=True):
            close(got[seen.bool()], states(prompted, row).last_hidden_state[0])
        other = torch.cat([rows[0][:, :-1], rows[1][:, :1]], 1)
        moved = states(prompted, other).last_hidden_state - states(prompted, rows[0]).last_hidden_state
        assert float(moved[0, 0].abs().max()) > 0.01


@torch.no_grad()
def test_a_feed_forward_that_is_given_what_it_adds_to_runs_over_all_columns() -> None:
    """BLOOM's adds the residual by itself, which has every column."""
    rows = [ids(9), ids(5, seed=1)]
    batch, mask = padded(rows, "right")
    chosen = torch.tensor([[row.shape[1] - 1] for row in rows])
    backbone = unusual("bloom", AutoModelForCausalLM)
    with attach(backbone, tokenizer(), producer(backbone, PromptTuning(num_virtual_tokens=3))) as prompted:
        whole = prompted(input_ids=batch, attention_mask=mask, use_cache=False).logits
        some = prompted(input_ids=batch, attention_mask=mask, use_cache=False, positions=chosen).logits
        for row, (one, last) in enumerate(zip(some, chosen[:, 0].tolist(), strict=True)):
            close(one[0], whole[row, last], 1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_written_out_of_many_states_is_the_models_own(
    family: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tiny models have few states, of which norms and activations are the model's own."""
    backbone, batch, found = copy.deepcopy(model(family)).to(dtype), padded([ids(6), ids(4, 1)], "right"), []
    for least in (1 << 60, 0):
        monkeypatch.setattr(norms, "_LEAST", least)
        monkeypatch.setattr(activations, "_LEAST", least)
        with attached(backbone, "prompt_tuning") as prompted:
            made = torch.cat(logits(prompted, *batch)).float()
            made.square().mean().backward()
            found.append([made, *(one.grad.float() for one in prompted.parameters() if one.grad is not None)])
    assert len(found[0]) > 1
    for expected, one in zip(*found, strict=True):
        close(one, expected, (1e-4 if dtype == torch.float32 else 5e-2) * float(expected.detach().abs().max()))
