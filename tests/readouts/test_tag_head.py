"""A head over words: each word's own state, whoever stands in its batch and wherever the padding is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from softprompt.attached.attach import attach
from softprompt.backbones.backbone import Backbone
from softprompt.errors import SoftPromptError
from softprompt.evaluation.ensemble import Ensemble
from softprompt.evaluation.transfer import translation
from softprompt.inference.predict import predict
from softprompt.methods import HeadOnly
from softprompt.readouts import build_readout
from softprompt.readouts.cut import told_cuts
from softprompt.readouts.head import Head
from softprompt.storage.prompt import load
from softprompt.tasks import Task, evaluate
from softprompt.training.options import TrainingOptions
from softprompt.training.run import train
from softprompt.training.setup import readout_spec

from ..shared.models import model, tokenizer
from ..shared.prompts import METHODS
from ..shared.readouts import ids_of, made

TASK = Task(name="names", kind="tags", labels=["O", "B-X", "I-X"])
SENTENCES = ["w20 w21 w22", "w30", "w40 w41 w42 w43 w44 w45"]
ROWS = TASK.rows_of(SENTENCES)
# A method for each site: the input, the layers, the attention.
SITES = ("prompt_tuning", "capt", "p_tuning_v2")
FAMILIES = ("bert", "llama", "t5")


def tagged(count: int = 60) -> list[dict[str, object]]:
    """Sentences of one to six words, of which every third begins a name."""
    rows: list[dict[str, object]] = []
    for number in range(count):
        words = [f"w{10 + (7 * number + 3 * place + place * place) % 80}" for place in range(1 + number % 6)]
        rows.append({"tokens": words, "tags": ["B-X" if int(word[1:]) % 3 == 0 else "O" for word in words]})
    return rows


def answering(family: str, method: str, **options: Any) -> tuple[Any, Any]:
    """An attached prompt and a head that tells words apart."""
    prompted, readout = made(TASK, family, METHODS[method], **options)
    assert isinstance(readout, Head)
    torch.nn.init.normal_(readout.linear.weight, generator=torch.Generator().manual_seed(0))
    return prompted, readout


@pytest.mark.parametrize("method", SITES)
@pytest.mark.parametrize("family", FAMILIES)
def test_each_word_is_read_at_its_own_state(family: str, method: str) -> None:
    prompted, readout = answering(family, method)
    with prompted, torch.no_grad():
        found = readout.features(prompted, readout.collate([readout.encode(row) for row in ROWS]))
        alone = [prompted.states(input_ids=torch.tensor([ids_of(text)]))[0] for text in SENTENCES]
    torch.testing.assert_close(found, torch.cat(alone), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("method", SITES)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_answers_as_each_row_alone_and_padding_changes_nothing(family: str, method: str) -> None:
    prompted, readout = answering(family, method)
    with prompted:
        whole, alone = (predict(prompted, readout, ROWS, batch_size=size) for size in (8, 1))
        batch = readout.collate([readout.encode(row) for row in ROWS])
        width = batch["input_ids"].shape[1]
        gaps = [width - len(text.split()) for text in SENTENCES]
        for row, gap in enumerate(gaps):  # the same rows, padded on the left
            batch["input_ids"][row] = batch["input_ids"][row].roll(gap)
            batch["attention_mask"][row] = batch["attention_mask"][row].roll(gap)
            batch["columns"][row] = (batch["columns"][row] + gap).clamp(max=width - 1)
        with torch.inference_mode():
            left = readout.answer(prompted, batch)
    for other in (alone, left):
        for one, same in zip(whole, other, strict=True):
            assert one.prediction == same.prediction
            assert one.probabilities == pytest.approx(same.probabilities, abs=1e-4)


def test_the_loss_is_the_mean_over_words_and_none_of_padding() -> None:
    prompted, readout = answering("bert", "p_tuning_v2")
    rows = TASK.rows_of(tagged(5))
    with prompted, torch.no_grad():
        loss = readout.loss(prompted, readout.collate([readout.encode(row) for row in rows], train=True))
        alone = [readout.answer(prompted, readout.collate([readout.encode(row)]))[0] for row in rows]
    total = sum(one.loss * len(row.words) for one, row in zip(alone, rows, strict=True))
    assert float(loss) == pytest.approx(total / sum(len(row.words) for row in rows), rel=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_it_learns_and_comes_back_from_its_folder(family: str, tmp_path: Path) -> None:
    done = train(
        model(family), tokenizer(), TASK.with_data(tagged()), HeadOnly(), output=tmp_path / "run", progress=False,
        max_steps=150, patience=99, head_learning_rate=0.05,
    )  # fmt: skip
    assert done.metrics["metric"] == "span_f1"
    assert done.metrics["history"][-1]["train_loss"] < 0.75 * done.metrics["history"][1]["train_loss"]
    assert done.metrics["trained_parameters"] == 3 * 32 + 3
    assert {"span_f1", "span_f1.X", "span_precision", "span_recall.X", "token_accuracy"} <= done.metrics["test"].keys()
    again = load(tmp_path / "run" / "prompt", model(family), tokenizer())
    texts = ["w12 w13", {"tokens": ["w15"]}]
    assert again.predict(texts) == done.prompt.predict(texts)
    assert [len(tags.split()) for tags in again.predict(texts)] == [2, 1]
    assert (
        "a linear head, which is stored too; classes: O, B-X, I-X"
        in (tmp_path / "run" / "prompt" / "README.md").read_text()
    )


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_the_same_arguments_give_the_same_bytes(family: str, tmp_path: Path) -> None:
    common: dict[str, Any] = {"progress": False, "max_steps": 4, "evaluations": 2}
    task = TASK.with_data(tagged(30))
    for name in ("one", "other"):
        train(model(family), tokenizer(), task, METHODS["spt"], output=tmp_path / name, **common)
    one, other = ((tmp_path / name / "prompt" / "prompt.safetensors").read_bytes() for name in ("one", "other"))
    assert one == other


def test_in_half_precision_the_head_stays_whole() -> None:
    backbone = model("bert", dtype=torch.bfloat16)
    spec = readout_spec(backbone, TASK, METHODS["p_tuning_v2"], TrainingOptions())
    prompted = attach(backbone, tokenizer(), METHODS["p_tuning_v2"])
    with prompted:
        readout = build_readout(TASK, Backbone(backbone, tokenizer()), prompted.prompts[0], spec)
        rows = TASK.rows_of(tagged(4))
        loss = readout.loss(prompted, readout.collate([readout.encode(row) for row in rows], train=True))
        loss.backward()
        assert loss.dtype == torch.float32
        assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in readout.parameters())


def test_words_that_are_cut_have_no_answer_and_count_as_wrong() -> None:
    prompted, readout = answering("bert", "p_tuning_v2", max_length=12)
    row = TASK.rows_of([{"tokens": ["w20"] * 20, "tags": ["O"] * 20}])[0]
    item = readout.encode(row)
    with prompted:
        (found,) = predict(prompted, readout, [row])
    room = item.texts[0].words.index(-1)
    assert set(found.prediction[room:]) == {-1}
    assert -1 not in found.prediction[:room]
    assert evaluate(TASK, [row], [found.prediction])["token_accuracy"] <= room / 20
    (cut, words) = told_cuts(
        [item], readout_spec(model("bert"), TASK, METHODS["p_tuning_v2"], TrainingOptions()), "rows"
    )
    assert "'text' lost its end" in cut
    assert f"{20 - room} of 20 words of the rows" in words


def test_a_causal_model_reads_a_words_last_token() -> None:
    options = {family: made(TASK, family, HeadOnly()) for family in ("bert", "llama")}
    assert {family: readout.row_encoder.last for family, (_, readout) in options.items()} == {
        "bert": False,
        "llama": True,
    }
    for prompted, _ in options.values():
        prompted.detach()
    with pytest.raises(SoftPromptError, match="pooling first or last"):
        made(TASK, "bert", HeadOnly(), pooling="mean")


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("warp", {}, "'warp' answers with label words"),
        ("soft_words", {}, "'soft_words' answers with label words"),
        ("hard_prompt", {}, "trains nothing.*use method 'head_only'$"),
        ("p_tuning_v2", {"readout": "mask"}, "of the kind tags, .*readout 'mask' reads one place"),
        ("p_tuning_v2", {"readout": "rows"}, "readout 'rows' reads one place"),
    ],
)
def test_what_needs_label_words_is_refused(method: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SoftPromptError, match=message):
        made(TASK, "bert", METHODS[method], **options)


def test_what_asks_for_one_answer_a_row_is_refused(tmp_path: Path) -> None:
    done = train(
        model("bert"), tokenizer(), TASK.with_data(tagged(30)), HeadOnly(), output=tmp_path / "run", progress=False,
        max_steps=1,
    )  # fmt: skip
    with pytest.raises(SoftPromptError, match="tags each word"):
        Ensemble([done.prompt, done.prompt])
    with pytest.raises(SoftPromptError, match="no translation"):
        translation(TASK, TASK)
    with pytest.raises(SoftPromptError, match="has no probabilities of labels"):
        done.prompt.predict(["w12"], returns="probabilities")
