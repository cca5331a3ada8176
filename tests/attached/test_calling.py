"""Calls of an attached model: what they take, one at a time, and what a call that fails leaves."""

from __future__ import annotations

import pytest
import torch

from ..shared.models import ids
from ..shared.prompts import close, fails, tiny


def test_inputs_that_leave_no_place_for_a_prompt() -> None:
    with tiny("llama", "prompt_tuning") as prompted:
        vectors = prompted.anatomy.embedding(ids(4))
        with fails("pass input_ids, not inputs_embeds"):
            prompted(inputs_embeds=vectors)
        with fails("attention_mask of shape"):
            prompted(input_ids=ids(4), attention_mask=torch.ones(1, 1, 4, 4))
        with fails("without input_ids"):
            prompted()
        with fails("pass input_ids, not inputs_embeds"):
            prompted.generate(inputs_embeds=vectors)
        with fails("generate needs input_ids"):
            prompted.generate()
        with fails("the labels are for all logits: leave them out"):
            prompted(input_ids=ids(4), labels=ids(4), positions=torch.tensor([[1]]))
    with tiny("t5", "prompt_tuning") as prompted, fails("encoder_outputs hold no virtual tokens"):
        prompted(input_ids=ids(4), encoder_outputs=(torch.zeros(1, 4, 32),), decoder_input_ids=ids(2))


def test_inputs_that_are_no_batch_of_ids() -> None:
    """What a tokenizer gives, as it is or as numpy's, was told to be no input at all, and one row failed in torch."""
    with tiny("llama", "prompt_tuning") as prompted:
        for given in (ids(4).numpy(), ids(4).tolist(), ids(4)[0], {"input_ids": ids(4)}):
            with fails("input_ids is .*: give a tensor .batch, tokens., and a tokenizer's output as .*encoded"):
                prompted(given)


@pytest.mark.parametrize("method", ["prompt_tuning", "lora"])
def test_a_batch_without_rows(method: str) -> None:
    with tiny("llama", method) as prompted, fails("input_ids is .0, 5., a batch without rows: give one or more"):
        prompted(input_ids=ids(5)[:0])


def test_states_where_the_configuration_asks_for_tuples() -> None:
    with tiny("bert", "prompt_tuning") as prompted, torch.no_grad():
        expected = prompted.states(input_ids=ids(4))
        prompted.config.return_dict = False
        try:
            close(prompted.states(input_ids=ids(4)), expected)
        finally:
            prompted.config.return_dict = True


def test_inputs_that_a_prefix_takes() -> None:
    """Keys and values need no place in the sequence."""
    with tiny("llama", "p_tuning_v2") as prompted, torch.no_grad():
        expected = prompted(input_ids=ids(4)).logits
        close(prompted(inputs_embeds=prompted.anatomy.embedding(ids(4))).logits, expected)
        causal = torch.ones(4, 4, dtype=torch.bool).tril()[None, None]
        close(prompted(input_ids=ids(4), attention_mask=causal).logits, expected)


@pytest.mark.parametrize("given", [0, True, 1.5, b"prompt_tuning", torch.tensor(0)])
def test_prompts_that_are_no_names_of_rows(given: object) -> None:
    with tiny("llama", "prompt_tuning") as prompted, fails("give a prompt's name for all rows, or one name or index"):
        prompted(input_ids=ids(4), prompts=given)


@pytest.mark.parametrize("given", [None, 0.0, ["prompt_tuning"]])
def test_a_row_whose_prompt_has_no_name(given: object) -> None:
    with tiny("llama", "prompt_tuning") as prompted, fails("for a row: give a prompt's name or index for each"):
        prompted(input_ids=ids(4), prompts=[given])


def test_one_call_at_a_time() -> None:
    with tiny("llama", "capt") as prompted, prompted.calling((0,)), fails("running already"):
        prompted(input_ids=ids(4))


def test_a_call_that_fails_leaves_no_call_open() -> None:
    with tiny("llama", "capt") as prompted:
        expected = prompted(input_ids=ids(4)).logits
        with pytest.raises(IndexError):
            prompted(input_ids=torch.tensor([[-5]]))
        assert torch.equal(prompted(input_ids=ids(4)).logits, expected)
