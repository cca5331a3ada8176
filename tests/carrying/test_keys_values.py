"""A prompt as the past of a causal model: what its own loader and transformers make of it is what it makes here."""

from __future__ import annotations

import io
import logging
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import torch

import softprompt as sp
from softprompt.methods import Method

from ..shared import runs
from ..shared.carried import beside, prompt_of
from ..shared.models import DECODERS, ids, model, tokenizer
from ..shared.prompts import FAMILIES, METHODS

STATIC = [
    name
    for name, one in METHODS.items()
    if "llama" in FAMILIES[name] and one.site in ("stream", "hidden", "attention") and one.name != "prompt_tuning"
]
CASES = [*((family, "prompt_tuning") for family in DECODERS), *(("llama", name) for name in STATIC)]


@pytest.mark.parametrize(("family", "method"), CASES)
def test_the_past_is_the_prompt(family: str, method: str, tmp_path: Path) -> None:
    backbone = model(family, window=64) if family in ("gemma3", "mistral") else model(family)
    prompt = prompt_of(backbone, METHODS[method])
    own = prompt.producer.footprint
    if not (own.static or own.joins) or own.pool or own.around:
        with pytest.raises(sp.SoftPromptError, match="cannot be carried to keys-values: it"):
            sp.export(prompt, tmp_path / "new", to="keys-values")
        return
    loaded = beside(sp.export(prompt, tmp_path / "new", to="keys-values"), "past")
    assert len((tmp_path / "new" / "past.py").read_text().splitlines()) <= 40
    rows = torch.cat([ids(6), ids(6, 1)])
    with prompt.attach() as prompted, torch.no_grad():
        expected = prompted(input_ids=rows).logits
        written = prompted.generate(rows, max_new_tokens=4, do_sample=False)
    cache = loaded.past(backbone, rows=2)
    count = own.count + own.prefix
    assert cache.get_seq_length() == count
    seen = torch.ones(2, count + 6, dtype=torch.long)
    with torch.no_grad():
        found = backbone(rows, attention_mask=seen, past_key_values=cache).logits
        told = backbone.generate(
            rows, attention_mask=seen, past_key_values=loaded.past(backbone, rows=2), max_new_tokens=4, do_sample=False
        )
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert told.tolist() == written.tolist()


def test_the_readmes_program_answers_as_the_prompt_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prompt = runs.run(tmp_path, "llama", sp.PTuningV2(num_virtual_tokens=3), learning_rate=0.3).prompt
    folder = sp.export(prompt, tmp_path / "new", to="keys-values")
    model("llama").save_pretrained(tmp_path / "base")
    tokenizer().save_pretrained(tmp_path / "base")
    program = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
    program = program.replace("this folder", str(folder)).replace(
        "name = 'llama'", f"name = {str(tmp_path / 'base')!r}"
    )
    texts = ["w20 w41 w42", "w30 w50", "w90", "w20 w30"]
    answers = []
    monkeypatch.delitem(sys.modules, "past", raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for text in texts:
        with redirect_stdout(io.StringIO()) as out:
            exec(program.replace("content='...'", f"content={text!r}"), {})
        answers.append(out.getvalue().strip())
    assert answers == prompt.predict(texts)


@pytest.mark.parametrize(
    ("family", "method", "told"),
    [
        ("bert", sp.PromptTuning(num_virtual_tokens=2), "only a causal model takes keys and values as its past"),
        ("llama", sp.CaPT(), "it makes its vectors of each text"),
        ("llama", sp.PTuningV2(num_virtual_tokens=2, select="0,2"), "keys and values in some layers alone"),
        ("llama", sp.LoRA(), "it works in the backbone's own weights"),
        ("llama", sp.PromptTuning(num_virtual_tokens=2, placement="end"), "elsewhere than in front"),
    ],
)
def test_what_is_no_past_is_refused(family: str, method: Method, told: str, tmp_path: Path) -> None:
    with pytest.raises(sp.SoftPromptError) as error:
        sp.export(prompt_of(model(family), method), tmp_path / "new", to="keys-values")
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_window_that_a_prefix_leaves_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        sp.export(prompt_of(model("gemma3"), sp.PTuningV2(num_virtual_tokens=2)), tmp_path / "new", to="keys-values")
    assert "a sliding window of 8" in caplog.text
