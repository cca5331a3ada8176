"""A prompt knows how its tokenizer reads, and loading it beside another says so."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

import softprompt as sp
from softprompt.storage.reading import reading_of

from ..shared.models import model, tokenizer
from ..shared.prompts import METHODS
from ..shared.runs import run


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("saved"), "llama", METHODS["capt"], max_steps=1).folder / "prompt"


def _changed(**swapped: str) -> PreTrainedTokenizerFast:
    """The usual tokenizer, in which words have each other's ids."""
    own = tokenizer()
    state = json.loads(own.backend_tokenizer.to_str())
    vocabulary = state["model"]["vocab"]
    for one, other in swapped.items():
        vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    names = {"unk_token": own.unk_token, "pad_token": own.pad_token, "mask_token": own.mask_token}
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(state)), **names)


def _notes(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


def test_the_own_tokenizer_is_met_in_silence(saved: Path, caplog: pytest.LogCaptureFixture) -> None:
    more = tokenizer().__class__(tokenizer_object=Tokenizer.from_str(tokenizer().backend_tokenizer.to_str()))
    more.add_tokens(["quite", "new"])
    for one in (tokenizer(), _changed(), more):
        sp.load(saved, model("llama"), one)
    assert not _notes(caplog)


def test_another_of_the_same_size_is_told(saved: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    prompt = sp.load(saved, model("llama"), _changed(w31="w32"))
    (told,) = _notes(caplog)
    assert str(saved / "prompt.json") in told
    assert "reads texts otherwise" in told
    caplog.clear()
    sp.load(sp.save(prompt, tmp_path / "again"), model("llama"), tokenizer())  # saved again, it keeps its own
    assert not _notes(caplog)


def test_prompts_of_earlier_versions_say_nothing(saved: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = sp.save(sp.load(saved, model("llama"), tokenizer()), tmp_path / "old")
    meta = json.loads((folder / "prompt.json").read_text())
    assert meta.pop("tokenizer") == reading_of(tokenizer())
    (folder / "prompt.json").write_text(json.dumps(meta))
    (folder / "manifest.json").unlink()
    sp.load(folder, model("llama"), _changed(w31="w32"))
    assert not _notes(caplog)


def test_a_tokenizer_that_reads_no_such_text_has_no_reading() -> None:
    class Own:
        vocab_size = 3

        def __call__(self, text: str, **_options: object) -> object:
            raise KeyError(text)

    assert reading_of(Own()) is None  # type: ignore[arg-type]
    assert reading_of(None) is None
