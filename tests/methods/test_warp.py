"""WARP: slots around text and mask, and label rows that start as the restricted language model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from softprompt.attached.attach import build
from softprompt.backbones.backbone import Backbone
from softprompt.errors import SoftPromptError
from softprompt.methods import WARP, HardPrompt
from softprompt.readouts.build import build_readout
from softprompt.tasks import Task
from softprompt.training.options import TrainingOptions
from softprompt.training.run import open_run
from softprompt.training.setup import readout_spec

from ..shared.models import ENCODER_DECODERS, HIDDEN, MASK, PAD, model, tokenizer
from ..shared.prompts import close, every_family
from ..shared.readouts import TEXTS, answers, ids_of, made
from ..shared.runs import run

EXAMPLES = {"warp": {"method": "warp", "num_virtual_tokens": 5, "init": "normal"}}

TASK = Task(
    template="w60 {text} w50 {mask}",
    templates={"mask": "w60 {text} w50 {mask} w51"},
    labels={"0": "w10", "1": "w11", "2": "w12"},
)
P = 6


MASKED = ("bert", "roberta", "albert")


@torch.no_grad()
def by_hand(family: str, slots: Tensor, text: str) -> Tensor:
    """Logits of the whole vocabulary at the answer, from embeddings put together by hand: shape `(V,)`."""
    backbone = model(family)
    words = backbone.get_input_embeddings()

    def embed(given: str) -> Tensor:
        return words(torch.tensor([ids_of(given)]))[0]

    if family not in MASKED:
        states = torch.cat([slots[:3], embed(f"w60 {text} w50"), slots[3:]])[None]
        if family not in ENCODER_DECODERS:
            return backbone(inputs_embeds=states).logits[0, -1]
        start = torch.tensor([[backbone.config.decoder_start_token_id]])
        return backbone(inputs_embeds=states, decoder_input_ids=start).logits[0, 0]
    parts = [slots[:2], embed(f"w60 {text} w50"), slots[2:4], embed("[MASK]"), slots[4:5], embed("w51"), slots[5:]]
    states = torch.cat(parts)[None]
    # RoBERTa counts positions from its padding's id.
    first = backbone.config.pad_token_id + 1 if family == "roberta" else 0
    positions = torch.arange(states.shape[1])[None] + first
    return backbone(inputs_embeds=states, position_ids=positions).logits[0, sum(map(len, parts[:3]))]


@every_family
def test_an_untrained_readout_is_the_restricted_language_model(family: str) -> None:
    """V = the verbalizer's rows and b = the head's biases give the language model's choice among the label words."""
    prompted, readout = made(TASK, family, WARP(num_virtual_tokens=P, init="normal"))
    with prompted:
        found = answers(prompted, readout, TASK.rows_of(TEXTS))
        slots = prompted.prompts[0].table.detach().clone()
    for text, outcome in zip(TEXTS, found, strict=True):
        expected = by_hand(family, slots, text)[[10, 11, 12]].softmax(-1)
        assert outcome.probabilities == pytest.approx(expected.tolist(), abs=1e-5)


@torch.no_grad()
def feature(family: str, text: str) -> Tensor:
    """f by hand, without slots: shape `(E,)`."""
    backbone = model(family)
    plain, masked = (torch.tensor([ids_of(f"w60 {text} w50{end}")]) for end in ("", " [MASK] w51"))
    if family == "llama":
        return backbone.model(plain)[0][0, -1]
    if family == "t5":
        start = torch.tensor([[backbone.config.decoder_start_token_id]])
        state = backbone.decoder(input_ids=start, encoder_hidden_states=backbone.encoder(plain)[0])[0][0, 0]
        return state * HIDDEN**-0.5 if backbone.config.tie_word_embeddings else state
    state = backbone.base_model(masked)[0][0, -2]
    if family == "bert":
        return backbone.cls.predictions.transform(state)
    part = backbone.predictions
    return part.LayerNorm(part.activation(part.dense(state)))


@pytest.mark.parametrize("family", ["bert", "albert", "t5", "llama"])
def test_the_equation(family: str) -> None:
    prompted, readout = made(TASK, family, WARP(num_virtual_tokens=0))
    with prompted, torch.no_grad():
        readout.weight.normal_()  # type: ignore[operator, union-attr]
        readout.bias.normal_()  # type: ignore[operator, union-attr]
        found = answers(prompted, readout, TASK.rows_of(TEXTS))
    for text, outcome in zip(TEXTS, found, strict=True):
        expected = (readout.weight @ feature(family, text) + readout.bias).softmax(-1)  # type: ignore[operator]
        assert outcome.probabilities == pytest.approx(expected.tolist(), abs=1e-5)


@every_family
def test_the_papers_parameters(family: str, tmp_path: Path) -> None:
    """(P + C) * E + C, trained and stored."""
    done = run(tmp_path, family, WARP(num_virtual_tokens=P), max_steps=1, evaluations=1)
    width = model(family).get_output_embeddings().weight.shape[1]
    slots = model(family).get_input_embeddings().weight.shape[1]
    assert done.metrics["trained_head_parameters"] == 2 * width + 2
    assert done.metrics["trained_parameters"] == P * slots + 2 * width + 2 == done.metrics["stored_parameters"]


@pytest.mark.parametrize("family", ["bert", "t5", "llama"])
def test_rows_and_slots_are_trained_and_stored(family: str, tmp_path: Path) -> None:
    done = run(
        tmp_path, family, WARP(num_virtual_tokens=P), max_steps=60, batch_size=16, evaluations=4, patience=99,
        learning_rate=0.05, head_learning_rate=0.05, optimizer="adamw", schedule="linear",
    )  # fmt: skip
    losses = [point["train_loss"] for point in done.metrics["history"][1:]]
    assert losses[-1] < 0.8 * losses[0]
    again = open_run(tmp_path / "run", model(family), tokenizer())
    texts = ["w20 w41", "w30 w41 w42"]
    assert [o.probabilities for o in again.prompt.outcomes(texts)] == [
        o.probabilities for o in done.prompt.outcomes(texts)
    ]


def test_without_slots_the_rows_alone_are_trained(tmp_path: Path) -> None:
    done = run(tmp_path, "bert", WARP(num_virtual_tokens=0), max_steps=3, evaluations=1)
    assert done.metrics["trained_parameters"] == 2 * HIDDEN + 2


@pytest.mark.parametrize(("init", "token"), [("mask", MASK), ("auto", MASK), ("pad", PAD)])
def test_slots_start_as_a_token(init: str, token: int) -> None:
    method = WARP(num_virtual_tokens=4, init=init, init_words="w30 w41")
    table = build(model("bert"), tokenizer(), method).table
    words = model("bert").get_input_embeddings().weight
    close(table.detach(), words[[30, 41, token, token]].detach(), 1e-6)


def test_a_draw_has_the_vocabularys_moments() -> None:
    table = build(model("bert"), tokenizer(), WARP(num_virtual_tokens=2000, init="vocab_normal")).table.detach()
    words = model("bert").get_input_embeddings().weight.detach()
    assert float(table.std()) == pytest.approx(float(words.std()), rel=0.02)
    assert float(table.mean()) == pytest.approx(float(words.mean()), abs=0.01)


def test_slots_fill_the_places_of_a_template() -> None:
    """A template's own places come first."""
    task = Task(template="{prompt:2} {text} {prompt:4} {mask}", labels={"0": "w10", "1": "w11"})
    prompted, readout = made(task, "bert", WARP(num_virtual_tokens=P))
    with prompted:
        (text,) = readout.encode(task.rows_of(["w20"])[0]).texts
    assert text.ids == (-1, -2, 20, -3, -4, -5, -6, MASK)


def test_what_is_refused() -> None:
    choice = Task(kind="choice", fields=("premise",), template="{premise} {choice}")
    with pytest.raises(SoftPromptError, match="leave readout out") as error:
        made(choice, "llama", WARP())
    assert "\n" not in str(error.value)
    with pytest.raises(SoftPromptError, match="stays untrained"):
        made(TASK, "bert", HardPrompt(), readout="rows")


def test_a_body_without_a_head_is_refused() -> None:
    body = model("bert").bert
    spec = readout_spec(body, TASK, WARP(), TrainingOptions())
    producer = build(body, tokenizer(), WARP())
    with pytest.raises(SoftPromptError, match="'rows' needs a backbone with a language-model head"):
        build_readout(TASK, Backbone(body, tokenizer()), producer, spec)
