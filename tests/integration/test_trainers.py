"""An attached model trains in other people's trainers with their defaults, and serves their pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from transformers import DataCollatorForLanguageModeling, DataCollatorWithPadding, Trainer, TrainingArguments, pipeline

from softprompt.attached.model import PromptedModel

from ..attacks.attaching import state
from ..shared.models import CLASSES, ids, model, tokenizer
from ..shared.prompts import attached

METHODS = ["capt", "prompt_tuning", "p_tuning_v2", "p_tuning_v2_projection", "deep_prompt"]
every_method = pytest.mark.parametrize("method", METHODS)
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def rows(count: int = 16) -> list[dict[str, Any]]:
    """Texts whose last word tells their label, and a column that no model takes."""
    made = []
    for index in range(count):
        label = index % CLASSES
        text = [*ids(4 + index % 3, index)[0].tolist(), 10 + label]
        made.append({"input_ids": text, "attention_mask": [1] * len(text), "labels": label, "note": f"row {index}"})
    return made


def arguments(folder: Path, **options: Any) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=8,
        learning_rate=0.05,
        max_steps=12,
        logging_steps=1,
        save_steps=6,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        **options,
    )


def losses(trainer: Trainer) -> list[float]:
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def check_checkpoint(folder: Path, prompted: PromptedModel) -> None:
    """A checkpoint's model file holds the prompt, and nothing of the backbone."""
    stored = load_file(folder / "model.safetensors")
    assert {name: tuple(value.shape) for name, value in stored.items()} == {
        name: tuple(value.shape) for name, value in prompted.state_dict().items()
    }
    assert not list(folder.glob("pytorch_model*"))


@every_method
@pytest.mark.parametrize("family", ["bert", "llama"])
def test_trainer(family: str, method: str, tmp_path: Path) -> None:
    backbone = model(family, "sequence", dropout=0.1)
    before = state(backbone)
    data = Dataset.from_list(rows())
    collate = DataCollatorWithPadding(tokenizer())

    def accuracy(found: Any) -> dict[str, float]:
        assert found.predictions.shape == (16, CLASSES)
        return {"accuracy": float((found.predictions.argmax(-1) == found.label_ids).mean())}

    with attached(backbone, method) as prompted:
        trainer = Trainer(
            model=prompted,
            args=arguments(tmp_path, eval_strategy="steps", eval_steps=6, load_best_model_at_end=True),
            train_dataset=data,
            eval_dataset=data,
            data_collator=collate,
            compute_metrics=accuracy,
        )
        trainer.train()
        assert sum(losses(trainer)[-3:]) < sum(losses(trainer)[:3])
        metrics = trainer.evaluate()
        assert 0 <= metrics["eval_accuracy"] <= 1
        check_checkpoint(tmp_path / "checkpoint-12", prompted)
        trained = {name: value.clone() for name, value in prompted.state_dict().items()}
        first = trainer.predict(data).predictions
    assert state(backbone) == before
    with attached(backbone, method, seed=9) as prompted:
        best = Path(trainer.state.best_model_checkpoint or tmp_path / "checkpoint-12")
        prompted.load_state_dict(load_file(best / "model.safetensors"))
        assert all(torch.equal(value, trained[name]) for name, value in prompted.state_dict().items())
        again = Trainer(model=prompted, args=arguments(tmp_path), data_collator=collate).predict(data).predictions
    assert (first == again).all()


@every_method
def test_trainer_goes_on_from_a_checkpoint(method: str, tmp_path: Path) -> None:
    data = Dataset.from_list(rows())

    def train(folder: Path, **options: Any) -> dict[str, torch.Tensor]:
        with attached(model("bert", "sequence"), method) as prompted:
            Trainer(
                model=prompted,
                args=arguments(folder),
                train_dataset=data,
                data_collator=DataCollatorWithPadding(tokenizer()),
            ).train(**options)
            return {name: value.clone() for name, value in prompted.state_dict().items()}

    whole = train(tmp_path)
    resumed = train(tmp_path, resume_from_checkpoint=str(tmp_path / "checkpoint-6"))
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


@every_method
@pytest.mark.parametrize("checkpointing", [False, True])
def test_trainer_on_language_modelling(method: str, checkpointing: bool, tmp_path: Path) -> None:
    data = Dataset.from_list([{k: v for k, v in row.items() if k != "labels"} for row in rows()])
    with attached(model("llama"), method) as prompted:
        trainer = Trainer(
            model=prompted,
            args=arguments(tmp_path, activation_checkpointing=checkpointing),
            train_dataset=data,
            data_collator=DataCollatorForLanguageModeling(tokenizer(), mlm=False),
        )
        trainer.train()
        assert sum(losses(trainer)[-3:]) < sum(losses(trainer)[:3])


@every_method
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("shape", ["text", "completion"])
def test_sft_trainer(method: str, shape: str, tmp_path: Path) -> None:
    """TRL's defaults: gradient checkpoints, and a loss that runs the body and the head by itself."""
    trl = pytest.importorskip("trl")
    backbone = model("llama", seed=6)
    before = state(backbone)
    texts = [" ".join(f"w{token}" for token in row["input_ids"] if token > 4) for row in rows()]
    if shape == "text":
        data = Dataset.from_list([{"text": text} for text in texts])
    else:
        data = Dataset.from_list(
            [{"prompt": text.rsplit(" ", 1)[0], "completion": " " + text.rsplit(" ", 1)[1]} for text in texts]
        )
    config = trl.SFTConfig(
        output_dir=str(tmp_path),
        max_steps=12,
        logging_steps=1,
        learning_rate=0.05,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        bf16=False,
    )
    assert config.gradient_checkpointing
    with attached(backbone, method) as prompted:
        initial = {name: value.clone() for name, value in prompted.state_dict().items()}
        trainer = trl.SFTTrainer(model=prompted, args=config, train_dataset=data, processing_class=tokenizer())
        trainer.train()
        assert sum(losses(trainer)[-3:]) < sum(losses(trainer)[:3])
        assert any(not torch.equal(value, initial[name]) for name, value in prompted.state_dict().items())
        trainer.save_model(str(tmp_path / "saved"))
        check_checkpoint(tmp_path / "saved", prompted)
    after = state(backbone)
    assert {k: v for k, v in after.items() if k != "attributes"} == {
        k: v for k, v in before.items() if k != "attributes"
    }


@every_method
def test_sft_loss_is_our_loss(method: str) -> None:
    """The trainer's fused loss sees the prompt, and an instance-aware prompt does not see the answers."""
    utils = pytest.importorskip("trl.trainer.utils")
    if not hasattr(utils, "add_fused_lm_head"):
        pytest.skip("this TRL has no fused loss")
    with attached(model("llama"), method) as prompted:
        given = ids(7)
        labels = given.clone()
        labels[:, :4] = -100
        own = prompted(input_ids=given, labels=labels).loss
        utils.add_fused_lm_head(prompted, outputs=("log_probs", "entropy", "is_top1"))
        fused = prompted(input_ids=given, labels=labels, fused_lm_head=True).loss
        torch.testing.assert_close(fused, own)
        found = []
        for loss in (own, fused):
            prompted.zero_grad()
            loss.backward()
            found.append([p.grad.clone() for p in prompted.prompts.parameters()])
        for one, two in zip(*found, strict=True):
            torch.testing.assert_close(one, two)


@every_method
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_text_generation_pipeline(family: str, method: str, caplog: pytest.LogCaptureFixture) -> None:
    with attached(model(family), method) as prompted:
        serve = pipeline("text-generation", model=prompted, tokenizer=tokenizer())
        assert "not supported" not in caplog.text
        texts = ["w9 w8 w7", "w6 w5"]
        options = {"max_new_tokens": 4, "do_sample": False}
        made = [answer[0]["generated_text"] for answer in serve(texts, return_full_text=False, **options)]
        for text, answer in zip(texts, made, strict=True):
            expected = prompted.generate(**prompted.encode(text), **options)
            assert answer == tokenizer().decode(expected[0, len(text.split()) :], skip_special_tokens=True)


def test_classification_pipeline() -> None:
    with attached(model("bert", "sequence"), "capt") as prompted, torch.no_grad():
        serve = pipeline("text-classification", model=prompted, tokenizer=tokenizer(), top_k=None)
        (scores,) = serve(["w9 w8 w7"])
        expected = prompted(**prompted.encode("w9 w8 w7")).logits.softmax(-1)[0]
        assert {s["label"]: s["score"] for s in scores} == pytest.approx(
            {f"LABEL_{index}": float(value) for index, value in enumerate(expected)}
        )
