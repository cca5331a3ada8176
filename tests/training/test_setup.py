"""What a run is set up with is refused where it cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, Lfm2Config

from softprompt.backbones.anatomy import read_anatomy
from softprompt.backbones.backbone import Backbone
from softprompt.errors import SoftPromptError
from softprompt.methods import method
from softprompt.tasks import Task
from softprompt.training.options import TrainingOptions
from softprompt.training.run import train
from softprompt.training.setup import by_default, completed, told_layers

from ..shared.models import model, tokenizer
from ..shared.prompts import METHODS
from ..shared.runs import run, task

ROWS = [{"text": f"w20 w{30 + n} w{70 - n}", "label": ("w10", "w11")[n % 2]} for n in range(30)]


def test_a_head_cannot_be_left_untrained_or_asked_of_free_text(tmp_path: Path) -> None:
    with pytest.raises(SoftPromptError, match="head_only"):
        run(tmp_path, "llama", METHODS["hard_prompt"], readout="head")
    with pytest.raises(SoftPromptError, match="readout 'text' has none"):
        run(tmp_path, "llama", METHODS["head_only"], readout="text")


def test_where_nobody_names_a_method_it_is_the_backbones_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = train(model("llama"), tokenizer(), task(tmp_path / "data"), seed=1, output=tmp_path / "run", max_steps=1)
    assert done.record.method == "prefix_tuning"
    assert "method: prefix_tuning (the default for decoder-only models" in capsys.readouterr().err


def test_the_layers_that_have_a_prefix_are_told_on_a_hybrid() -> None:
    config = Lfm2Config(
        vocab_size=100, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=64, layer_types=["conv", "full_attention", "conv"], pad_token_id=0,
    )  # fmt: skip
    part = read_anatomy(AutoModelForCausalLM.from_config(config))
    assert told_layers(part, method("p_tuning_v2")) == ["prefixes: at the layers with attention alone, 1 of 0 to 2"]
    assert told_layers(part, method("capt")) == []
    assert told_layers(read_anatomy(model("llama")), method("p_tuning_v2")) == []


def test_a_default_goes_over_many_rows_less_often_unless_the_user_says_how_often() -> None:
    backbone = Backbone(model("llama"), tokenizer())
    few, many = (by_default(backbone, TrainingOptions(), rows) for rows in (32, 1_600))
    assert (few.options.epochs, many.options.epochs) == (None, 3)
    assert "3 of its 20 epochs, about 360 steps: --epochs asks for more" in many.told[0]
    for options in (TrainingOptions(epochs=20), TrainingOptions(max_steps=9_999)):
        found = by_default(backbone, options, 1_600)
        assert (found.options, "epochs" in found.told[0]) == (options, False)
    assert by_default(backbone, TrainingOptions(batch_size=160), 1_600).options.epochs is None


def test_guessed_words_that_are_bad_ones_leave_the_answer_to_a_head() -> None:
    backbone, guessed = Backbone(model("llama"), tokenizer()), Task.from_file(ROWS)
    chosen = Task(**guessed.model_dump()).with_data(ROWS)
    for own, name, options, readout in (
        (guessed, "prompt_tuning", TrainingOptions(), "head"),
        (guessed.with_data(ROWS, shots=2), "prompt_tuning", TrainingOptions(), "head"),
        (guessed, "prompt_tuning", TrainingOptions(readout="text"), "text"),
        (guessed, "hard_prompt", TrainingOptions(), None),
        (guessed, "soft_words", TrainingOptions(), None),
        (chosen, "prompt_tuning", TrainingOptions(), None),
    ):
        found = completed(backbone, own, method(name), options, 24)
        assert found.options.readout == readout
        assert len([line for line in found.told if line.startswith("answers:")]) == (readout == "head")


def test_a_rate_that_was_carried_over_from_another_family_is_told_unless_the_user_gives_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = task(tmp_path / "data")

    def told(family: str, name: str, **options: Any) -> str:
        train(model(family), tokenizer(), own, name, output=tmp_path / f"{family}-{name}", max_steps=1, **options)
        return capsys.readouterr().err

    line = "warning: the learning rate of capt, 0.03, is unmeasured on this family (roberta; measured on MiniLM"
    assert line in told("roberta", "capt")
    for family, name, options in (
        ("bert", "lpt", {"learning_rate": 1e-3}),  # the user's own
        ("bert", "vfpt", {"progress": False}),
        ("bert", "p_tuning_v2", {}),  # the paper's own family
        ("bert", "capt", {}),  # MiniLM's
        ("t5", "prompt_tuning", {}),
        ("t5", "head_only", {}),  # on standardised features, whatever the family
    ):
        assert "unmeasured" not in told(family, name, **options), (family, name)
