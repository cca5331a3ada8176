"""What leaves a model whose head is inside its body has the user's columns, as behind any other body."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaModel
from transformers.modeling_outputs import CausalLMOutput
from transformers.utils.generic import ModelOutput

from softprompt.errors import SoftPromptError

from ..shared.models import ids, model, padded
from ..shared.prompts import attached, close
from ..shared.unusual import unusual


class HeadInside(LlamaModel):
    """A body that ends in logits, and a loss where labels came."""

    base_model_prefix = ""
    gives = "logits"

    def forward(self, input_ids: Any = None, attention_mask: Any = None, labels: Any = None, **rest: Any) -> Any:
        states = super().forward(input_ids=input_ids, attention_mask=attention_mask, **rest).last_hidden_state
        logits = self.head(states)
        loss = None
        if labels is not None:
            loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        return CausalLMOutput(loss=loss, logits=logits) if self.gives == "logits" else ModelOutput({self.gives: logits})


@pytest.fixture(scope="module")
def inside() -> Any:
    whole = model("llama", seed=8)
    made = HeadInside(whole.config)
    made.load_state_dict(whole.model.state_dict(), strict=False)
    made.head = whole.lm_head
    return made.eval()


@pytest.mark.parametrize("method", ["prompt_tuning", "capt", "p_tuning_v2"])
@torch.no_grad()
def test_logits_are_those_of_a_head_outside(inside: Any, method: str) -> None:
    rows, mask = padded([ids(5), ids(8, 1)], "left")
    chosen = torch.tensor([[6, 7], [3, 7]])
    with attached(model("llama", seed=8), method) as wanted, attached(inside, method) as got:
        for more, seen in (({}, mask.bool()), ({"positions": chosen}, torch.ones_like(chosen).bool())):
            given = {"input_ids": rows, "attention_mask": mask, **more}
            close(got(**given).logits[seen], wanted(**given).logits[seen])


@torch.no_grad()
def test_virtual_tokens_have_no_part_in_a_loss_inside(inside: Any) -> None:
    row = ids(7)
    labels = row.clone()
    labels[:, 0] = -100
    with attached(inside, "prompt_tuning") as prompted:
        output = prompted(input_ids=row, labels=labels)
        expected = torch.nn.functional.cross_entropy(output.logits[0, :-1], row[0, 1:])
    close(output.loss, expected)


def test_a_body_without_states_is_no_place_for_a_head_beside_the_prompt(inside: Any) -> None:
    with (
        attached(inside, "prompt_tuning") as prompted,
        pytest.raises(SoftPromptError, match="gives no last_hidden_state"),
    ):
        prompted.states(input_ids=ids(4))


def test_what_has_neither_states_nor_logits_is_refused(inside: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside, "gives", "scores")
    told = "ModelOutput with neither last_hidden_state nor logits"
    with attached(inside, "prompt_tuning") as prompted, pytest.raises(SoftPromptError, match=told):
        prompted(input_ids=ids(4))


@pytest.mark.parametrize("asked", ["call", "configuration"])
@pytest.mark.parametrize("name", ["prompt_tuning", "p_tuning_v2", "capt"])
@pytest.mark.parametrize("mixture", ["mixtral", "jamba"])
def test_routes_are_those_of_the_users_columns(
    mixture: str, name: str, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mixture's loss over its experts weighs them with the user's mask."""
    rows = [ids(5), ids(8, 1)]
    batch, mask = padded(rows, "left")
    backbone = unusual(mixture, AutoModelForCausalLM)
    given: dict[str, Any] = {"output_router_logits": True}
    if asked == "configuration":
        given = {}
        monkeypatch.setattr(backbone.config, "output_router_logits", True)
    with attached(backbone, name) as prompted:
        found = prompted(input_ids=batch, attention_mask=mask, use_cache=False, **given)
        chosen = prompted(
            input_ids=batch, attention_mask=mask, use_cache=False, positions=torch.tensor([[7], [7]]), **given
        )
        alone = [prompted(input_ids=row, use_cache=False, **given) for row in rows]
    close(chosen.aux_loss, found.aux_loss)
    for layer, routed in enumerate(found.router_logits):
        for row, own, seen in zip(alone, routed.view(*mask.shape, -1), mask.bool(), strict=True):
            close(own[seen], row.router_logits[layer], 1e-4)
