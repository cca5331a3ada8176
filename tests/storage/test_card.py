"""The model card: a backbone that can be loaded, the options that had a part, and what reads the answers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertModel

import softprompt as sp
from softprompt.attached.attach import build
from softprompt.backbones import load as loading
from softprompt.backbones.backbone import Backbone
from softprompt.backbones.fingerprint import fingerprint
from softprompt.backbones.source import BackboneSource
from softprompt.methods.registry import methods
from softprompt.readouts import ReadoutSpec, build_readout
from softprompt.storage.prompt import Prompt

from ..shared.checkpoints import BERT, save
from ..shared.models import model, tokenizer
from ..shared.prompts import METHODS

READOUT = ReadoutSpec(name="mask", loss="auto", pooling="auto", max_length=40, max_new_tokens=4)


def card(folder: Path, method: Any, name: str = "mask", backbone: Any = None, **meta: Any) -> str:
    own = model("bert") if backbone is None else backbone
    task = sp.Task(template="{text} and {mask}", templates={"head": "so {text}"}, labels={"0": "w10", "1": "w11"})
    made = build(own, tokenizer(), method)
    spec = READOUT.model_copy(update={"name": name})
    readout = build_readout(task, Backbone(own, tokenizer()), made, spec)
    sp.save(Prompt(method, made, task, readout, spec, fingerprint(own), own, tokenizer(), meta), folder)
    return (folder / "README.md").read_text()


def options(text: str) -> set[str]:
    line = next(line for line in text.splitlines() if line.startswith("- Options: "))
    return set(re.findall(r"`(\w+)=", line))


@pytest.mark.parametrize(
    ("method", "used"),
    [
        (sp.PromptTuning(), {"num_virtual_tokens", "init", "placement"}),
        (sp.PromptTuning(init="random_uniform"), {"num_virtual_tokens", "init", "init_bound", "placement"}),
        (sp.CaPT(), {"select", "num_virtual_tokens", "variant", "stop_gradient", "decoder_sees_capsule", "init_std",
                     "residual_width"}),
        (methods()["hard_prompt"](), {"calibration"}),
        (methods()["head_only"](), set()),
    ],
)  # fmt: skip
def test_options_without_a_part_are_not_told(method: Any, used: set[str], tmp_path: Path) -> None:
    assert options(card(tmp_path / "prompt", method, "head")) == used


@pytest.mark.parametrize("method", list(METHODS))
def test_what_an_option_needs_is_there(method: str) -> None:
    chosen = METHODS[method]
    names = set(type(chosen).model_fields)
    assert {*chosen.needs, *(other for other, _ in chosen.needs.values())} <= names
    assert chosen.in_use().keys() <= names


def test_a_head_reads_its_own_template(tmp_path: Path) -> None:
    told = card(tmp_path / "head", sp.PromptTuning(), "head")
    assert "- Template: `so {text}`\n- Answers are read by a linear head, which is stored too; classes: 0, 1\n" in told
    told = card(tmp_path / "mask", sp.PromptTuning(), "mask")
    assert (
        "- Template: `{text} and {mask}`\n- Answers are read by the language-model head; label words: w10, w11" in told
    )
    told = card(tmp_path / "pool", METHODS["soft_words"], "mask")
    assert re.search("- Templates?: `.*`\n", told)


@pytest.mark.parametrize("name", ["embedded:minilm", "org/model", "adapter:org/model"])
def test_the_backbone_is_named_as_it_can_be_loaded(name: str, tmp_path: Path) -> None:
    told = card(tmp_path / "prompt", sp.PromptTuning(), backbone_name=name)
    assert f"frozen backbone `{name}`, of the family `bert`" in told
    assert f'model, tokenizer = sp.load_backbone("{name}")\n' in told
    assert "name yours" not in told


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("org/model", "base_model: org/model\n"),
        ("org/a.b-c_d", "base_model: org/a.b-c_d\n"),
        ("embedded:minilm", "base_model: sentence-transformers/all-MiniLM-L6-v2\n"),
        ("embedded:gemma3-270m", "base_model: google/gemma-3-270m\n"),
        ("adapter:org/model", ""),
        ("./org", ""),
        ("org/model.gguf", ""),
        ("my model", ""),
        ("llama", ""),
        ("org/model\nlicense: mit", ""),
    ],
)
def test_the_header_names_a_backbone_of_the_hub(name: str, line: str, tmp_path: Path) -> None:
    told = card(tmp_path / "prompt", sp.PromptTuning(), backbone_name=name)
    header = told.split("---\n")[1]
    assert header == f"library_name: softprompt\n{line}tags: [soft-prompt, prompt_tuning]\n"


def test_a_backbone_of_this_machine_alone(tmp_path: Path) -> None:
    told = card(tmp_path / "prompt", sp.PromptTuning(), backbone_name=str(tmp_path))
    assert "a file or folder of the machine on which the prompt was trained: name yours" in told
    assert "name was not recorded" in card(tmp_path / "again", sp.PromptTuning())


def test_from_python_a_backbone_has_the_name_that_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not the place where an embedded model, or one of the hub, lies on this machine."""
    torch.manual_seed(0)
    packed = save(tmp_path / "site-packages" / "minilm", BertModel(BERT))
    monkeypatch.setattr(loading, "locate", lambda name: BackboneSource(name, str(packed)))
    found, _ = sp.load_backbone("embedded:minilm")
    before = fingerprint(found)
    assert found.config.name_or_path == "embedded:minilm"
    prompt = Prompt(sp.CaPT(), build(found, None, sp.CaPT()), None, None, None, before, found, None)
    sp.save(prompt, tmp_path / "prompt")
    assert sp.load(tmp_path / "prompt", found, None).meta["backbone_name"] == "embedded:minilm"
    assert "site-packages" not in "".join(path.read_text("latin-1") for path in (tmp_path / "prompt").iterdir())


def test_what_was_measured_stands_in_words(tmp_path: Path) -> None:
    figures = {"accuracy": 0.6225, "macro_f1": 0.5, "rows": 1400, "interval": [0.574, 0.6686], "loss": 1.0176}
    told = card(tmp_path / "a", sp.PromptTuning(), seed=13, metrics=figures)
    line = "accuracy 0.623 (95 % interval 0.574 to 0.669), macro_f1 0.500, loss 1.018"
    assert f"- Measured with seed 13 on 1,400 test rows: {line}\n" in told.replace("0.622 ", "0.623 ")
    told = card(tmp_path / "b", sp.PromptTuning(), seed=13, metrics={**figures, "seen_rows": 7, "macro_f1": None})
    assert "test rows, 7 of which it was trained or chosen on: accuracy" in told
    assert "macro_f1" not in told
    assert "Measured" not in card(tmp_path / "c", sp.PromptTuning())


def test_a_name_that_is_no_plain_text_stays_one_line(tmp_path: Path) -> None:
    told = card(tmp_path / "prompt", sp.PromptTuning(init="random_uniform"), backbone_name='a"\n`b')
    assert 'sp.load_backbone("a\\"\\n`b")' in told
