"""A prompt in front of every text is computed once while `predict` answers, and the answers are the same."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, MistralConfig, PreTrainedConfig, Qwen2Config, Qwen2MoeConfig

from softprompt.attached.attach import attach
from softprompt.attached.lowered import lower, lowered_in_front, reach_of
from softprompt.attached.standing import standing_in
from softprompt.inference import predict as predicting
from softprompt.inference.predict import predict
from softprompt.readouts import Readout
from softprompt.tasks import Row, Task

from ..shared.models import ids, model, padded, tokenizer
from ..shared.prompts import METHODS, close, every_decoder, logits, producer, tiny
from ..shared.readouts import made
from ..shared.unusual import unusual

TASK = Task(name="two", template="{text} {mask}", labels={"0": "w10", "1": "w11"}, fields=("text",))
SEVERAL = TASK.model_copy(update={"labels": {"0": "w10 w11", "1": "w12", "2": "w13 w14 w15"}})
ROWS = [Row(fields={"text": " ".join(f"w{20 + (3 * n + k) % 60}" for k in range(n % 5 + 1))}) for n in range(7)]


@pytest.fixture
def lowered(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each call of `predict` that could lower did so."""
    told: list[bool] = []

    def telling(*given: Any) -> Any:
        found = lowered_in_front(*given)
        told.append(found is not None)
        return found

    monkeypatch.setattr(predicting, "lowered_in_front", telling)
    return told


def scores(prompted: Any, readout: Readout, batch_size: int, rows: list[Row] = ROWS, **options: Any) -> Tensor:
    return torch.tensor(
        [one.probabilities for one in predict(prompted, readout, rows, batch_size=batch_size, **options)]
    )


@every_decoder
@pytest.mark.parametrize("method", ["prompt_tuning", "deep_prompt", "p_tuning_v2", "capt"])
@pytest.mark.parametrize("task", [TASK, SEVERAL], ids=["words of one token", "of several"])
def test_what_stands_for_a_prompt_answers_as_it_does(family: str, method: str, task: Task, lowered: list[bool]) -> None:
    prompted, readout = made(task, family, METHODS[method])
    with prompted:
        whole, several, single = (scores(prompted, readout, size) for size in (len(ROWS), 3, 1))
    if family != "gemma3":  # whose window is short here
        assert lowered == [method in ("prompt_tuning", "deep_prompt")] * 2
    close(several, whole, 1e-5)
    close(single, whole, 1e-5)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("method", ["prompt_tuning", "deep_prompt"])
@every_decoder
def test_padding_and_single_rows(family: str, method: str, side: str) -> None:
    batch, mask = padded([ids(7, 1), ids(4, 2), ids(5, 3)], side)
    with tiny(family, method, window=64) as prompted, torch.no_grad():
        assert prompted.takes_prefixes
        found = lower(prompted, 0)
        assert found is not None
        own = logits(prompted, batch, mask, use_cache=True)
        with standing_in(prompted, {0: found}):
            for cached in (True, False):
                for one, other in zip(logits(prompted, batch, mask, use_cache=cached), own, strict=True):
                    close(one, other, 1e-5)


def test_a_prompt_that_changes_between_two_calls_is_lowered_anew() -> None:
    prompted, readout = made(TASK, "llama", METHODS["prompt_tuning"])
    with prompted:
        before = scores(prompted, readout, 2)
        with torch.no_grad():
            for parameter in prompted.prompts.parameters():
                parameter.normal_()
        after = scores(prompted, readout, 2)
        close(after, scores(prompted, readout, len(ROWS)), 1e-5)
    assert (after - before).abs().max() > 1e-3


def test_one_of_several_prompts_is_lowered_alone(lowered: list[bool]) -> None:
    prompted, readout = made(TASK, "llama", METHODS["prompt_tuning"])
    prompted.detach()
    backbone = model("llama")
    named = {name: producer(backbone, name, seed) for seed, name in enumerate(("capt", "prompt_tuning", "deep_prompt"))}
    with attach(backbone, tokenizer(), named) as several:
        for name in named:
            close(scores(several, readout, 2, prompts=name), scores(several, readout, 7, prompts=name), 1e-5)
    assert lowered == [False, True, True]


def test_prompts_that_answer_together_are_lowered_each(lowered: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    """A readout may say which prompt each row takes, as an ensemble's does."""
    prompted, readout = made(TASK, "llama", METHODS["prompt_tuning"])
    prompted.detach()
    backbone = model("llama")
    named = {name: producer(backbone, name, seed) for seed, name in enumerate(("capt", "prompt_tuning", "deep_prompt"))}
    answer = readout.answer
    monkeypatch.setattr(
        readout,
        "answer",
        lambda model, batch, _: answer(model, batch, [row % 3 for row in range(len(batch["labels"]))]),
    )
    with attach(backbone, tokenizer(), named) as several:
        found = scores(several, readout, 9, [ROWS[0]] * 9)
        monkeypatch.undo()
        for index, name in enumerate(named):
            close(found[index], scores(several, readout, 1, ROWS[:1], prompts=name)[0], 1e-5)
    assert lowered == [False, True, True]


def test_training_goes_on_with_the_prompt_itself() -> None:
    """Modes, parameters and their gradients are as they were, and the next step has the prompt's own gradient."""
    prompted, readout = made(TASK, "llama", METHODS["prompt_tuning"])
    batch = readout.collate([readout.encode(Row(fields=one.fields, label=1)) for one in ROWS])
    with prompted:
        prompted.train()

        def step() -> Tensor:
            prompted.zero_grad()
            readout.loss(prompted, batch).backward()
            (parameter,) = prompted.prompts.parameters()
            assert parameter.grad is not None
            return parameter.grad.clone()

        first, names = step(), list(prompted.names)
        scores(prompted, readout, 2)
        assert prompted.training
        assert prompted.names == names
        assert torch.equal(step(), first)


@pytest.mark.parametrize("why", ["beyond the window", "placed by the template", "eager attention"])
def test_where_it_would_not_be_the_same_the_prompt_itself_answers(
    why: str, lowered: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = TASK.model_copy(update={"template": "{prompt} {text} {mask}"}) if why.startswith("placed") else TASK
    family = "gemma3" if why.startswith("beyond") else "llama"
    prompted, readout = made(task, family, METHODS["prompt_tuning"])
    if why.startswith("beyond"):
        monkeypatch.setattr(prompted.anatomy.config, "sliding_window", 6)
    if why.startswith("eager"):
        monkeypatch.setattr(type(prompted), "takes_prefixes", False)
    with prompted:
        scores(prompted, readout, 2)
    assert lowered in ([], [False])


def test_other_threads_see_the_prompt_itself() -> None:
    with tiny("llama", "prompt_tuning") as prompted, torch.no_grad():
        found, expected = lower(prompted, 0), prompted(input_ids=ids(5)).logits
        assert found is not None
        found.pairs = [(keys, -values) for keys, values in found.pairs]  # who stood in for the prompt would be seen
        told: list[Tensor] = []
        other = threading.Thread(target=lambda: told.append(prompted(input_ids=ids(5)).logits))
        with standing_in(prompted, {0: found}):
            other.start()
            other.join()
            assert not torch.allclose(prompted(input_ids=ids(5)).logits, expected)
        assert torch.equal(told[0], expected)


def test_generate_has_the_prompt_itself() -> None:
    with tiny("llama", "prompt_tuning") as prompted, torch.no_grad():
        found = lower(prompted, 0)
        assert found is not None
        options = {"max_new_tokens": 4, "do_sample": False, "return_dict_in_generate": True}
        own = prompted.generate(ids(5), **options)
        with standing_in(prompted, {0: found}):
            again = prompted.generate(ids(5), **options)
    assert torch.equal(own.sequences, again.sequences)
    assert own.past_key_values.get_seq_length() == again.past_key_values.get_seq_length()


@pytest.mark.parametrize(("words", "lowers"), [(4, True), (5, False)])  # behind four virtual tokens
def test_no_row_is_longer_than_its_rotary_angles(words: int, lowers: bool, lowered: list[bool]) -> None:
    """LongRoPE turns a long row by other angles than a prompt alone, whose keys are therefore not those of the row."""
    rows = [Row(fields={"text": " ".join(f"w{20 + 3 * n + k}" for k in range(words))}) for n in range(4)]
    prompted, readout = made(TASK, unusual("phi3", AutoModelForCausalLM), METHODS["prompt_tuning"])
    with prompted:
        close(scores(prompted, readout, 2, rows), scores(prompted, readout, 4, rows), 1e-5)
    assert lowered == [lowers]


@pytest.mark.parametrize(
    ("config", "reach"),
    [
        (Qwen2MoeConfig(), None),  # a window of 0, which is unused
        (Qwen2Config(sliding_window=32), None),
        (Qwen2Config(use_sliding_window=True, sliding_window=32, max_window_layers=2), 32),
        (Qwen2Config(use_sliding_window=True, sliding_window=32, max_window_layers=99), None),  # of no layer
        (MistralConfig(sliding_window=64), 64),
        (MistralConfig(sliding_window=None), None),
    ],
)
def test_a_window_that_no_layer_has_limits_nothing(config: PreTrainedConfig, reach: int | None) -> None:
    assert reach_of(SimpleNamespace(config=config)) == reach  # type: ignore[arg-type]
