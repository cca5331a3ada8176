"""Presets against the papers' tables of settings, and what is done where backbone, task or user want it otherwise.

The numbers stand here as the papers and their code have them, and not as the presets do; each is looked for in what
the optimiser, the schedule and the readout really get.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from transformers.optimization import Adafactor

import softprompt as sp
from softprompt.attached.attach import attach
from softprompt.backbones.backbone import Backbone
from softprompt.errors import SoftPromptError
from softprompt.methods import Method
from softprompt.presets.catalog import preset
from softprompt.progress import Progress
from softprompt.readouts.base import Readout
from softprompt.tasks import Task
from softprompt.training.courses.work import Work
from softprompt.training.fitting.stage_spec import Stage
from softprompt.training.fitting.t5x_adafactor import DECAY, T5XAdafactor
from softprompt.training.fitting.trainer import SoftPromptTrainer
from softprompt.training.options import TrainingOptions, planned
from softprompt.training.preset import Applied, with_preset
from softprompt.training.setup import readout_spec

from ..shared.models import model, tokenizer

LABELS = {"0": "w10", "1": "w11"}


def named(name: str, **options: Any) -> Task:
    """A task of two words that is called as one of the catalog."""
    rows = [{"text": f"w{20 + n}", "label": str(n % 2)} for n in range(8)]
    return Task(**{"name": name, "template": "{text} {mask}", "labels": LABELS, **options}).with_data(rows)


class Made(NamedTuple):
    """What a preset comes to in training."""

    applied: Applied
    method: Method
    readout: Readout
    optimizer: torch.optim.Optimizer
    rates: list[float]
    steps: int
    every: int
    clipped: float
    accumulated: int


def made(name: str, family: str, task: Task, folder: Path, rows: int = 8, own_method: Method | None = None) -> Made:
    """Build a preset's trainer on a tiny model, and let its schedule run."""
    own = Backbone(model(family), tokenizer())
    applied = with_preset(name, own, task, own_method, TrainingOptions())
    method, options = applied.method, applied.options
    assert isinstance(method, Method)
    spec = readout_spec(own.model, task, method, options)
    with attach(own, method, label_words=task.label_words(own.is_encoder_decoder), seed=0) as prompted:
        found = task.rows_of([{"text": f"w{20 + n % 60}", "label": str(n % 2)} for n in range(rows)])
        plan = planned(options, method.recipe(own.anatomy.family, own.anatomy.kind), applied.source)
        work = Work(prompted, task, method, found, found[:2], plan, options, spec, folder, 0, Progress(False))
        stage = Stage(
            None, work.trained, task, plan, options, work.items, work.validation, folder, 0, work.show, lambda: False
        )
        trainer = SoftPromptTrainer(stage, lambda step, steps, note: None)
        optimizer, steps = trainer.create_optimizer(), trainer._steps(rows)
        schedule = trainer.create_scheduler(steps)
        rates = []
        for _ in range(steps if steps < 5_000 else 500):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()  # of nothing: no gradient is there
            schedule.step()
        arguments = trainer.args
        return Made(
            applied, method, work.readout, optimizer, rates, steps, trainer.every,
            arguments.max_grad_norm, arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps,
        )  # fmt: skip


@pytest.mark.parametrize("task", ["rte", "boolq"])
def test_lester_is_the_papers_run(task: str, tmp_path: Path) -> None:
    """Section 3 and appendix A: METHODS 2.2 and 2.3."""
    found = made("lester", "t5", named(task), tmp_path)
    assert (found.method.name, found.method.num_virtual_tokens, found.method.init) == (
        "prompt_tuning", 100, "class_labels"
    )  # fmt: skip
    assert isinstance(found.optimizer, T5XAdafactor)
    (group,) = found.optimizer.param_groups
    assert (group["decay_rate"], group["scale_parameter"], group["relative_step"]) == (-0.8, False, False)
    assert (group[DECAY], group["weight_decay"]) == (1e-5, 0.0)
    assert set(found.rates) == {0.3}
    assert (found.steps, found.accumulated) == (30_000, 32)
    assert found.every == 1_000
    assert found.clipped == 0
    own = found.applied.options
    assert own.max_length - found.method.num_virtual_tokens == 512
    assert (found.readout.z_loss, own.loss, own.dropout) == (1e-4, "vocabulary", True)
    assert own.patience >= own.evaluations, "all steps are taken"
    end = tokenizer().eos_token_id
    assert [ids[-1] for ids in found.readout.answer_ids] == [end, end], "seqio's add_eos"


def test_lester_starts_at_label_words_and_frequent_words(tmp_path: Path) -> None:
    found = made("lester", "t5", named("rte"), tmp_path)
    table = attach(model("t5"), tokenizer(), found.method, label_words=("w10", "w11"))
    with table as prompted:
        rows = prompted.prompts[0].table
        words = model("t5").get_input_embeddings().weight
        ids = tokenizer()("w10 w11", add_special_tokens=False)["input_ids"]
        torch.testing.assert_close(rows[:2].detach(), words[ids].detach())
        assert len(rows) == 100


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("record_t5", ("commonsense", "reasoning", "reading", "comprehension")),
        ("wsc_t5", ("commonsense", "pronoun", "resolution")),
    ],
)
def test_lester_starts_record_and_wsc_at_words_of_the_task(task: str, words: tuple[str, ...]) -> None:
    own = Task(name=task, template="{text}", kind="generation")
    applied = with_preset("lester", Backbone(model("t5"), tokenizer()), own, None, TrainingOptions())
    assert applied.method.init_words == words


# Family; rate of the grid in section S2; whether a classification head reads the answer.
CAPT = [("t5", {5.0, 1.0, 0.1}, False), ("llama", {7e-4, 5e-5, 1e-5}, True), ("qwen2", {1e-1, 5e-3, 5e-4, 1e-5}, True)]


@pytest.mark.parametrize(("family", "grid", "head"), CAPT)
def test_capt_is_trained_as_its_paper_says(family: str, grid: set[float], head: bool, tmp_path: Path) -> None:
    """Section 4.1 and S2, and SMoP's script where these are silent: METHODS 1.5."""
    found = made("capt-paper", family, named("rte"), tmp_path, rows=64)
    own = found.applied.options
    assert isinstance(found.optimizer, Adafactor)
    assert not isinstance(found.optimizer, T5XAdafactor)
    capsules, *heads = found.optimizer.param_groups
    assert capsules["initial_lr"] in grid
    assert (capsules["scale_parameter"], capsules["relative_step"], capsules["weight_decay"]) == (False, False, 1e-5)
    assert [one["initial_lr"] for one in heads] == ([capsules["initial_lr"]] if head else [])
    assert (found.readout.name == "head") is head
    assert (own.loss == "vocabulary") is not head
    assert 16 <= found.accumulated <= 32
    assert (own.epochs, own.max_length, own.patience) == (50, 512, 10)
    assert found.every == found.steps / 50, "the validation rows are looked at after each epoch"
    warm = max(range(found.steps), key=found.rates.__getitem__)
    assert warm == pytest.approx(0.06 * found.steps, abs=1)
    assert found.rates[-1] < 0.05 * capsules["initial_lr"], "linear decay"
    assert (found.method.num_virtual_tokens, found.method.variant) == (1, "addition")
    assert preset("capt-paper").dtype == "float32"


# Task, family, batch, rate, length, epochs, and what is said beside them: METHODS 4.2, the official scripts.
PTUNING_V2 = [
    ("boolq", "bert", 32, 5e-3, 40, 100, {}),
    ("boolq", "roberta", 32, 7e-3, 8, 100, {}),
    ("copa", "bert", 16, 1e-2, 16, 80, {}),
    ("copa", "roberta", 16, 9e-3, 8, 120, {}),
    ("rte", "bert", 32, 1e-2, 20, 60, {}),
    ("rte", "roberta", 32, 5e-3, 128, 100, {}),
    ("wic", "bert", 16, 1e-4, 20, 80, {"prefix_projection": True}),
    ("wic", "roberta", 32, 1e-2, 8, 50, {}),
    ("squad_spans", "roberta", 8, 5e-3, 16, 30, {"dropout": 0.2}),
    ("conll2003", "roberta", 16, 3e-2, 11, 30, {"max_length": 152}),
]


@pytest.mark.parametrize(("task", "family", "batch", "rate", "length", "epochs", "more"), PTUNING_V2)
def test_p_tuning_v2_is_trained_by_its_scripts(
    task: str, family: str, batch: int, rate: float, length: int, epochs: int, more: dict[str, Any], tmp_path: Path
) -> None:
    whole = with_preset("ptuning-v2-paper", Backbone(model(family), tokenizer()), named(task), None, TrainingOptions())
    assert whole.method.num_virtual_tokens == length
    short = sp.PTuningV2(num_virtual_tokens=4)  # a tiny model has few positions
    found = made("ptuning-v2-paper", family, named(task), tmp_path, rows=32, own_method=short)
    own = found.applied.options
    assert isinstance(found.optimizer, torch.optim.AdamW)
    assert [(one["initial_lr"], one["weight_decay"]) for one in found.optimizer.param_groups] == [(rate, 0.0)] * 2
    assert found.accumulated == batch
    assert own.epochs == epochs
    assert found.method.dropout == more.get("dropout", 0.1)
    assert found.method.prefix_projection is more.get("prefix_projection", False)
    assert own.max_length == more.get("max_length", 128)
    assert own.dropout
    assert found.every * epochs == found.steps, "the best epoch on the validation rows is kept"
    assert own.patience >= epochs
    assert found.readout.name == "head"
    if task not in ("squad_spans", "conll2003"):
        assert found.readout.pooling == "first"
    assert found.rates[0] == rate, "no warm-up"
    assert found.rates[-1] == pytest.approx(rate / found.steps)


LPT = [("roberta", 1e-3, 32, 512, "mask"), ("gpt2", 5e-4, 32, 256, "text")]


@pytest.mark.parametrize("name", ["lpt-paper", "spt-lpt"])
@pytest.mark.parametrize(("family", "rate", "batch", "length", "readout"), LPT)
def test_lpt_is_trained_by_its_scripts(
    name: str, family: str, rate: float, batch: int, length: int, readout: str, tmp_path: Path
) -> None:
    """METHODS 3.3: weight decay 0.1, warm-up 0.06; 1,000 steps, and 10 epochs of 8 rows times 4."""
    task = named("rte")
    if name == "spt-lpt":  # whose 8 layers no tiny model has
        applied = with_preset(name, Backbone(model(family), tokenizer()), task, None, TrainingOptions())
        own, plan = applied.options, planned(applied.options, applied.method.recipe(family, "encoder"))
        assert (plan.learning_rate, plan.weight_decay, plan.warmup_ratio) == (rate, 0.1, 0.06)
        assert (own.batch_size * own.accumulate, own.max_length, own.readout) == (batch, length, readout)
        assert (applied.method.select, applied.method.bottleneck, applied.method.init) == ("learned:8", 256, "linear")
        assert (own.max_steps, own.epochs) == ((1_000, None) if family == "roberta" else (None, 10))
        return
    found = made(name, family, task, tmp_path, rows=320)
    (group,) = found.optimizer.param_groups
    assert isinstance(found.optimizer, torch.optim.AdamW)
    assert (group["initial_lr"], group["weight_decay"]) == (rate, 0.1)
    assert found.accumulated == batch
    assert (found.applied.options.max_length, found.readout.name) == (length, readout)
    assert found.steps == (1_000 if family == "roberta" else 10 * 320 / 32)
    warm = max(range(found.steps), key=found.rates.__getitem__)
    assert warm == pytest.approx(0.06 * found.steps, abs=1)
    assert (found.method.num_virtual_tokens, found.method.generator, found.method.bottleneck) == (5, "npg", 128)
    assert found.method.layer is None, "half of the layers: 12 of 24, 18 of 36"


def applied(name: str, family: str = "t5", task: str = "rte", method: Any = None, **options: Any) -> Applied:
    own = Backbone(model(family), tokenizer())
    return with_preset(name, own, named(task), method, TrainingOptions(**options))


def test_what_the_user_says_wins_and_is_told() -> None:
    found = applied("lester", method=sp.PromptTuning(num_virtual_tokens=20), learning_rate=0.1, batch_size=32)
    assert (found.method.num_virtual_tokens, found.method.init) == (20, "class_labels")
    assert (found.options.learning_rate, found.options.max_steps) == (0.1, 30_000)
    assert found.used.changed == {"num_virtual_tokens": 20, "learning_rate": 0.1, "template": "the task's own"}
    assert "preset: num_virtual_tokens is 20, in lester 100" in found.told
    assert "preset: learning_rate is 0.1, in lester 0.3" in found.told
    assert not any("batch_size" in line for line in found.told), "what is as in the preset is no change"


@pytest.mark.parametrize(
    ("given", "steps", "changed"),
    [
        ({"epochs": 2}, (2, None), {"max_steps": None}),
        ({"max_steps": 5}, (None, 5), {"max_steps": 5}),
        ({}, (None, 30_000), {}),
    ],
)
def test_whoever_says_how_long_means_no_other_length(
    given: dict[str, int], steps: tuple[int | None, int | None], changed: dict[str, Any]
) -> None:
    found = applied("lester", **given)
    assert (found.options.epochs, found.options.max_steps) == steps
    assert {name: value for name, value in found.used.changed.items() if name != "template"} == changed


def test_a_name_that_method_and_training_have_is_told_with_its_owner() -> None:
    found = applied("ptuning-v2-paper", "bert", method=sp.PTuningV2(dropout=0.3), dropout=False)
    assert found.used.changed == {"method.dropout": 0.3, "dropout": False}


@pytest.mark.parametrize(
    ("name", "family", "task", "method", "told"),
    [
        (
            "lester",
            "llama",
            "rte",
            None,
            "preset 'lester' has no run on llama (causal); it has T5 on ReCoRD, T5 on WSC",
        ),
        ("ptuning-v2-paper", "bert", "trec", None, "has no run for task 'trec' on bert; it has BERT-large on BoolQ"),
        ("ptuning-v2-paper", "bert", "squad_spans", None, "has no run for task 'squad_spans' on bert"),
        ("capt-paper", "qwen3", "rte", None, "has no run on qwen3 (causal); it has T5, Llama, Qwen2"),
        ("lester", "t5", "rte", "capt", "is of method 'prompt_tuning', and 'capt' was asked for"),
        ("lester", "t5", "wsc", None, "preset 'lester' casts task 'wsc' otherwise: give task 'wsc_t5'"),
    ],
)
def test_what_it_cannot_serve_is_one_line(name: str, family: str, task: str, method: str | None, told: str) -> None:
    with pytest.raises(SoftPromptError) as error:
        applied(name, family, task, method)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_pattern_that_the_task_has_is_taken_and_the_users_own_stays() -> None:
    own = Backbone(model("t5"), tokenizer())
    patterns = {"lester": {"templates": {"seq2seq": "w5 {text}"}}, "other": {"templates": {"seq2seq": "w6 {text}"}}}
    task = named("rte", patterns=patterns)
    found = with_preset("lester", own, task, None, TrainingOptions())
    assert str(found.task.template_for("text", seq2seq=True)) == "w5 {text}"
    assert found.used.changed == {}
    for name, changed in (("Lester", {}), ("other", {"template": "other"})):
        found = with_preset("lester", own, task.with_template(name), None, TrainingOptions())
        assert found.used.changed == changed


def test_of_another_backbone_than_the_papers_it_is_told() -> None:
    found = applied("ptuning-v2-paper", "roberta")
    layers = model("roberta").config.num_hidden_layers
    assert f"preset: the backbone has {layers} layers, in ptuning-v2-paper (RoBERTa-large on RTE) 24" in found.told


def trained(folder: Path, **options: Any) -> Any:
    few = {"max_steps": 2, "evaluations": 1, "max_length": 64, "seed": 3, "progress": False}
    return sp.train(model("t5"), tokenizer(), named("rte"), output=folder, preset="lester", **{**few, **options})


def test_a_run_keeps_it_in_its_records_and_its_card(tmp_path: Path) -> None:
    done = trained(tmp_path / "run", method=sp.PromptTuning(num_virtual_tokens=5))
    told = done.metrics["preset"]
    assert (told["name"], told["run"]) == ("lester", "T5")
    assert told["changed"]["num_virtual_tokens"] == 5
    assert done.metrics["options"]["training"]["source"].startswith("preset 'lester' (T5): section 3")
    again = sp.load(tmp_path / "run" / "prompt", model("t5"), tokenizer())
    assert again.meta["preset"] == told
    card = (tmp_path / "run" / "prompt" / "README.md").read_text()
    assert "- Preset: `lester`, T5; otherwise than there: " in card
    assert "`num_virtual_tokens=5`" in card


def test_a_run_goes_on_with_the_preset_that_it_was_begun_with(tmp_path: Path) -> None:
    own = sp.PromptTuning(num_virtual_tokens=5)
    first = trained(tmp_path / "run", method=own)
    assert trained(tmp_path / "run", method=own, resume=True).metrics == first.metrics
    with pytest.raises(SoftPromptError, match=r"another training_options.z_loss \(0.0001 then, 0.5 now\)"):
        trained(tmp_path / "run", method=own, resume=True, z_loss=0.5)


def test_wsc_as_t5_casts_it_is_trained_and_scored(tmp_path: Path) -> None:
    """From the published layout to the metric: the phrase is generated."""
    rows = [
        {
            "text": f"w{20 + n} w40 w41 w42",
            "target": {"span1_index": 0, "span1_text": f"w{20 + n}", "span2_index": 2, "span2_text": "w41"},
            "label": n % 3 > 0,
        }
        for n in range(30)
    ]
    task = Task.load("wsc_t5", data=rows)
    few = {"max_steps": 2, "evaluations": 1, "max_length": 64, "max_new_tokens": 2, "batch_size": 4}
    method = sp.PromptTuning(num_virtual_tokens=5)
    done = sp.train(
        model("t5"), tokenizer(), task, method, output=tmp_path / "run", preset="lester", progress=False, **few
    )
    assert done.metrics["preset"]["run"] == "T5 on WSC"
    assert (done.metrics["metric"], done.metrics["readout"]["z_loss"]) == ("wsc_accuracy", 1e-4)
    assert done.metrics["options"]["method"]["init_words"] == ["commonsense", "pronoun", "resolution"]
    assert 0 <= done.metrics["test"]["wsc_accuracy"] <= 1
