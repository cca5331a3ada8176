"""A sentence encoder is read where it was trained to be read, unless the user says otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from softprompt.backbones.load import load_backbone
from softprompt.backbones.pooled import told_pooling
from softprompt.methods import CaPT, Method, PTuningV2
from softprompt.tasks import Task
from softprompt.training.options import TrainingOptions
from softprompt.training.setup import readout_spec

from ..shared.models import model, tokenizer

TASK = Task(name="two", template="{text} {mask}", labels={"0": "w10", "1": "w11"}, fields=("text",))
LISTED = [{"idx": 0, "path": "", "type": "a.Transformer"}, {"idx": 1, "path": "1_Pooling", "type": "a.models.Pooling"}]
MEAN = {"word_embedding_dimension": 32, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
CLS = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False, "include_prompt": True}


def sentences(folder: Path, parts: Any, pooling: Any, head: bool = False) -> Path:
    """A tiny encoder with what sentence-transformers writes beside it."""
    own = model("distilbert")
    (own if head else own.base_model).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    for name, content in (("modules.json", parts), ("1_Pooling/config.json", pooling)):
        if content is not None:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def place(folder: Path, method: Method, **options: Any) -> str:
    own = load_backbone(str(folder), device="cpu").model
    return readout_spec(own, TASK, method, TrainingOptions(**options)).pooling


@pytest.mark.parametrize(
    ("parts", "pooling", "told"),
    [
        (LISTED, MEAN, "mean"),
        (LISTED, CLS, "first"),
        (LISTED, {"pooling_mode_lasttoken": True}, "last"),
        (LISTED, {"pooling_mode": "cls"}, "first"),
        (LISTED, {"pooling_mode": "mean"}, "mean"),
        (LISTED, {"pooling_mode": "weightedmean"}, None),
        (LISTED, {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, None),
        (LISTED, {"pooling_mode_max_tokens": True}, None),
        (LISTED, "{", None),
        (LISTED, [], None),
        (LISTED, None, None),
        ("nonsense", MEAN, None),
        ([1, {}, {"type": 3}], MEAN, None),
        ([{"path": "../1_Pooling", "type": "Pooling"}], MEAN, None),
        (None, MEAN, None),
    ],
)
def test_what_a_checkpoint_says_is_heard(parts: Any, pooling: Any, told: str | None, tmp_path: Path) -> None:
    found = load_backbone(str(sentences(tmp_path / "own", parts, pooling)), device="cpu").model
    assert told_pooling(found) == told


def test_a_head_reads_where_the_training_did(tmp_path: Path) -> None:
    plain = sentences(tmp_path / "plain", None, None)
    mean, first = sentences(tmp_path / "mean", LISTED, MEAN), sentences(tmp_path / "first", LISTED, CLS)
    assert [place(one, PTuningV2()) for one in (plain, mean, first)] == ["first", "auto", "first"]
    assert [place(one, CaPT()) for one in (plain, mean, first)] == ["auto", "auto", "first"]  # auto is the mean
    assert place(first, CaPT(), pooling="mean") == "mean"
    assert place(mean, PTuningV2(), pooling="first") == "first"


def test_a_language_model_is_not_asked(tmp_path: Path) -> None:
    found = load_backbone(str(sentences(tmp_path / "own", LISTED, CLS, head=True)), device="cpu").model
    assert told_pooling(found) is None
