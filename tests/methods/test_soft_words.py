"""Soft words: human prompts that move, and the mixture of several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from softprompt.attached.attach import attach
from softprompt.errors import SoftPromptError
from softprompt.methods import HardPrompt, SoftWords
from softprompt.readouts.mixture import Mixture
from softprompt.tasks import Task
from softprompt.training.run import open_run, train

from ..shared.models import CORE, ENCODERS, HIDDEN, LAYERS, MASK, model, tokenizer
from ..shared.prompts import close, every_family
from ..shared.readouts import TEXTS, answers, ids_of, made
from ..shared.runs import run, task

EXAMPLES = {
    "soft_words": {"method": "soft_words", "prompts": ["w60 {text} w61 w62 {mask}", "{text} w63 {mask}"]},
    "soft_words_shallow": {"method": "soft_words", "prompts": ["w60 {text} w61 {mask}"], "deep": False},
}

PROMPTS = ("w60 w61 {text} w62 {mask}", "{text} w63 {mask}", "w64 {text} w60 w60 {mask}")
WORDS = 3 + 1 + 3
TASK = Task(template="{text} {mask}", labels={"0": "w10", "1": "w11", "2": "w12"})


def moved(prompted: Any, readout: Any, seed: int = 0) -> None:
    """Random changes and weights."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in (*prompted.prompts.parameters(), *readout.parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=generator))


@every_family
def test_without_changes_it_is_the_hard_prompt(family: str) -> None:
    """And the mixture, its weights being equal, is the mean of its members."""
    members = []
    for source in PROMPTS:
        hard, plain = made(TASK.model_copy(update={"template": source}), family, HardPrompt(), loss="labels")
        with hard:
            members.append([o.probabilities for o in answers(hard, plain, TASK.rows_of(TEXTS))])
        soft, readout = made(TASK, family, SoftWords(prompts=(source,)), loss="labels")
        with soft:
            found = answers(soft, readout, TASK.rows_of(TEXTS))
        for outcome, expected in zip(found, members[-1], strict=True):
            assert outcome.probabilities == pytest.approx(expected, abs=1e-6)
    prompted, readout = made(TASK, family, SoftWords(prompts=PROMPTS), loss="labels")
    with prompted:
        found = answers(prompted, readout, TASK.rows_of(TEXTS))
    mean = torch.tensor(members, dtype=torch.float64).mean(0)
    for outcome, expected in zip(found, mean.tolist(), strict=True):
        assert outcome.probabilities == pytest.approx(expected, abs=2e-6)


def run_by_hand(family: str, source: str, text: str, changes: Tensor, words: list[int]) -> Tensor:
    """Log-probabilities of the label words where `changes` `(N + 1, T, H)` are added at columns by plain hooks."""
    backbone = model(family)
    plain = source.format(text=text, mask="[MASK]" if family == "bert" else "").strip()
    ids = ids_of(plain)
    own = [column for column, token in enumerate(ids) if token in words]
    layers = {
        "bert": lambda: backbone.bert.encoder.layer,
        "llama": lambda: backbone.model.layers,
        "t5": lambda: backbone.encoder.block,
    }[family]()
    handles = []
    for index, layer in enumerate(layers):

        def change(module: Any, args: Any, kwargs: Any, index: int = index) -> Any:
            states = (args[0] if args else kwargs["hidden_states"]).clone()
            states[0, own] += changes[index]
            return ((states, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": states})

        handles.append(layer.register_forward_pre_hook(change, with_kwargs=True))
    given = {"input_ids": torch.tensor([ids])}
    if family == "t5":
        given["decoder_input_ids"] = torch.tensor([[backbone.config.decoder_start_token_id]])
    with torch.no_grad():
        logits = backbone(**given).logits[0]
    for handle in handles:
        handle.remove()
    column = ids.index(MASK) if family == "bert" else -1
    logs = logits[column].log_softmax(-1)[[10, 11, 12]]
    return logs if family == "t5" else logs.log_softmax(-1)


@pytest.mark.parametrize("deep", [True, False])
@pytest.mark.parametrize("family", ["bert", "llama", "t5"])
def test_the_equations(family: str, deep: bool) -> None:
    prompted, readout = made(TASK, family, SoftWords(prompts=PROMPTS, deep=deep))
    with prompted:
        moved(prompted, readout)
        found = answers(prompted, readout, TASK.rows_of(TEXTS))
        table, weights = prompted.prompts[0].table.detach(), readout.logits.detach().softmax(0)
    full = torch.zeros(LAYERS + 1, WORDS, HIDDEN)
    full[: len(table)] = table
    for text, outcome in zip(TEXTS, found, strict=True):
        total, first = torch.zeros(3), 0
        for source, weight in zip(PROMPTS, weights, strict=True):
            words = [int(word[1:]) for word in source.split() if word.startswith("w")]
            own = full[:, first : first + len(words)]
            total += weight * run_by_hand(family, source, text, own, words).exp()
            first += len(words)
        assert outcome.probabilities == pytest.approx((total / total.sum()).tolist(), abs=1e-5)


@pytest.mark.parametrize("loss", ["labels", "vocabulary"])
@pytest.mark.parametrize("family", ["bert", "t5", "llama"])
def test_the_gradient_is_that_of_the_papers_em_step(family: str, loss: str) -> None:
    """Of sum_t q_t (-log p_t) with fixed responsibilities q; the weights' is the mean of w - q."""
    prompted, readout = made(TASK, family, SoftWords(prompts=PROMPTS), loss=loss)
    assert isinstance(readout, Mixture)
    rows = TASK.rows_of([{"text": text, "label": str(index)} for index, text in enumerate(TEXTS)])
    with prompted:
        moved(prompted, readout)
        batch = readout.collate([readout.encode(row) for row in rows], train=True)
        table = prompted.prompts[0].table
        table_by_mixture, weights_by_mixture = torch.autograd.grad(
            readout.loss(prompted, batch), [table, readout.logits]
        )
        outputs = readout.outputs(prompted, batch)
        q = readout.responsibilities(outputs, batch)
        labels = torch.arange(3)[:, None, None].expand(-1, len(PROMPTS), 1)
        each = readout.members[0].scores(outputs, batch).view(3, len(PROMPTS), -1).gather(-1, labels)[..., 0]
        (table_by_em,) = torch.autograd.grad(-(q * each).sum() / 3, [table])
    close(table_by_mixture, table_by_em, 1e-5)
    close(weights_by_mixture, readout.logits.detach().softmax(0) - q.mean(0), 1e-5)


@every_family
def test_the_papers_parameters(family: str, tmp_path: Path) -> None:
    """(N + 1) * T * d a prompt and one weight each; T * d where it is shallow."""
    for deep, per_word in ((True, (LAYERS + 1) * HIDDEN), (False, HIDDEN)):
        done = run(tmp_path / str(deep), family, SoftWords(prompts=PROMPTS, deep=deep), max_steps=1, evaluations=1)
        assert done.metrics["trained_parameters"] == WORDS * per_word + len(PROMPTS)
        assert done.metrics["stored_parameters"] == done.metrics["trained_parameters"]
        assert done.metrics["trained_head_parameters"] == len(PROMPTS)


def test_the_mixture_tells_what_it_is_worth(tmp_path: Path) -> None:
    done = run(tmp_path, "bert", SoftWords(prompts=PROMPTS), max_steps=20, learning_rate=0.05, head_learning_rate=0.2)
    weights = torch.tensor(done.metrics["mixture_weights"], dtype=torch.float64)
    assert float(weights.sum()) == pytest.approx(1)
    assert done.metrics["effective_prompts"] == pytest.approx(float((-(weights * weights.log()).sum()).exp()))
    assert 1 <= done.metrics["effective_prompts"] < 3
    again = open_run(tmp_path / "run", model("bert"), tokenizer())
    assert [o.probabilities for o in again.prompt.outcomes(["w20 w41", "w30"])] == [
        o.probabilities for o in done.prompt.outcomes(["w20 w41", "w30"])
    ]


@pytest.mark.parametrize("family", ["bert", "t5", "llama"])
def test_it_learns_its_training_rows(family: str, tmp_path: Path) -> None:
    done = run(
        tmp_path, family, SoftWords(prompts=PROMPTS), max_steps=60, batch_size=16, evaluations=4, patience=99,
        learning_rate=0.1, optimizer="adamw", schedule="linear", loss="labels",
    )  # fmt: skip
    losses = [point["train_loss"] for point in done.metrics["history"][1:]]
    assert losses[-1] < (0.97 if family == "t5" else 0.8) * losses[0]


@pytest.mark.parametrize("family", ["bert", "llama", "t5"])
def test_without_prompts_it_starts_from_the_tasks_own(family: str, tmp_path: Path) -> None:
    """Its words count as trained, and the stored prompt names them."""
    data = task(tmp_path / "data", template="w60 {text} w61 {mask}")
    done = train(
        model(family),
        tokenizer(),
        data,
        SoftWords(),
        output=tmp_path / "run",
        max_steps=2,
        evaluations=1,
        progress=False,
    )
    end = "" if family == "t5" else " {mask}"
    assert done.prompt.method == SoftWords(prompts=(f"w60 {{text}} w61{end}",))
    assert done.metrics["trained_parameters"] == 2 * (LAYERS + 1) * HIDDEN + 1 == done.metrics["stored_parameters"]
    again = open_run(tmp_path / "run", model(family), tokenizer())
    assert again.predict(["w20 w41", "w30"]) == done.predict(["w20 w41", "w30"])


@pytest.mark.parametrize("family", [family for family in CORE if family in ENCODERS])
def test_a_batch_answers_as_single_rows(family: str) -> None:
    prompted, readout = made(TASK, family, SoftWords(prompts=PROMPTS))
    with prompted:
        moved(prompted, readout)
        rows = TASK.rows_of(TEXTS)
        together = [o.probabilities for o in answers(prompted, readout, rows)]
        for row, found in zip(rows, together, strict=True):
            (alone,) = answers(prompted, readout, [row])
            assert alone.probabilities == pytest.approx(found, abs=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompts": ("{prompt} {text} {mask}",)}, "no {prompt} may be there"),
        ({"prompts": ("{title} {mask}",)}, "'title'"),
        ({"prompts": ("{text} {mask} w60",)}, "answers at the end"),
    ],
)
def test_what_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SoftPromptError, match=message.replace("{", r"\{")) as error:
        made(TASK, "llama", SoftWords(**options))
    assert "\n" not in str(error.value)


def test_a_head_has_no_words_to_mix() -> None:
    with pytest.raises(SoftPromptError, match="weighs label words"):
        made(TASK, "llama", SoftWords(prompts=PROMPTS), readout="head")


def test_several_attached_prompts_are_asked_as_their_rows_say() -> None:
    """A mixture beside another prompt in the same model."""
    prompted, readout = made(TASK, "llama", SoftWords(prompts=PROMPTS))
    rows = TASK.rows_of(TEXTS)
    with prompted:
        moved(prompted, readout)
        alone = [o.probabilities for o in answers(prompted, readout, rows)]
        own = prompted.prompts[0]
    other = SoftWords(prompts=("w70 {text} {mask}",))
    with attach(model("llama"), tokenizer(), {"other": other, "own": own}) as bank, torch.no_grad():
        batch = readout.collate([readout.encode(row) for row in rows])
        found = [o.probabilities for o in readout.answer(bank, batch, ["own"] * len(rows))]
    for one, two in zip(alone, found, strict=True):
        assert one == pytest.approx(two, abs=1e-5)
