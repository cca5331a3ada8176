"""Loading: the right class for each checkpoint, no random weight ever, and one line for whatever is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import torch
from transformers import (
    BartModel,
    BertForMaskedLM,
    BertForPreTraining,
    BertForSequenceClassification,
    BertModel,
    BertTokenizer,
    ElectraForMaskedLM,
    ElectraForPreTraining,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaModel,
    RobertaForMaskedLM,
    RobertaForSequenceClassification,
    T5EncoderModel,
    T5ForConditionalGeneration,
)

from softprompt.backbones.load import load_backbone
from softprompt.errors import SoftPromptError

from ..shared import checkpoints
from ..shared.checkpoints import BART, BERT, ELECTRA, LLAMA, ROBERTA, SIZES, T5, TIED, WORDS, save, write_gguf

CLASSES = [
    (LlamaForCausalLM, LLAMA, "LlamaForCausalLM", "LlamaModel"),
    (LlamaModel, LLAMA, None, "LlamaModel"),
    (LlamaModel, TIED, "LlamaForCausalLM", "LlamaModel"),
    (BertModel, BERT, None, "BertModel"),
    (BertForMaskedLM, BERT, "BertForMaskedLM", "BertModel"),
    (BertForPreTraining, BERT, "BertForMaskedLM", "BertModel"),
    (BertForSequenceClassification, BERT, None, "BertModel"),
    (RobertaForMaskedLM, ROBERTA, "RobertaForMaskedLM", "RobertaModel"),
    (RobertaForSequenceClassification, ROBERTA, None, "RobertaModel"),
    (ElectraForMaskedLM, ELECTRA, "ElectraForMaskedLM", "ElectraModel"),
    (ElectraForPreTraining, ELECTRA, None, "ElectraModel"),
    (T5ForConditionalGeneration, T5, "T5ForConditionalGeneration", "T5Model"),
    (T5EncoderModel, T5, None, "T5EncoderModel"),
    (BartModel, BART, "BartForConditionalGeneration", "BartModel"),
]


@pytest.mark.parametrize(("saved", "config", "with_head", "body"), CLASSES)
def test_the_head_is_taken_where_the_checkpoint_holds_one(saved, config, with_head, body, tmp_path):
    original = saved(config)
    folder = save(tmp_path / "model", original)
    model, _ = load_backbone(folder)
    assert type(model).__name__ == (with_head or body)
    assert not model.training
    without, _ = load_backbone(folder, head=False)
    assert type(without).__name__ == body
    if with_head:
        assert type(load_backbone(folder, head=True)[0]).__name__ == with_head
    else:
        with pytest.raises(SoftPromptError, match="has no language-model head"):
            load_backbone(folder, head=True)
    kept = {value.flatten()[0].item() for value in original.state_dict().values()}
    for loaded in (model, without):
        assert {value.flatten()[0].item() for value in loaded.state_dict().values()} <= kept


@pytest.mark.parametrize(
    ("stored", "asked", "loaded"),
    [
        (torch.float32, "auto", torch.float32),
        (torch.bfloat16, "auto", torch.bfloat16),
        (torch.float16, "auto", torch.float32),
        (torch.bfloat16, "float32", torch.float32),
        (torch.float32, "bfloat16", torch.bfloat16),
    ],
)
def test_dtype(stored, asked, loaded, tmp_path):
    model, _ = load_backbone(save(tmp_path, LlamaForCausalLM(LLAMA).to(stored)), dtype=asked, device="cpu")
    assert {weight.dtype for weight in model.parameters()} == {loaded}


def test_a_tilde_and_a_path_object_are_understood(monkeypatch, tmp_path):
    save(tmp_path / "model", LlamaForCausalLM(LLAMA))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert type(load_backbone("~/model")[0]) is type(load_backbone(tmp_path / "model")[0]) is LlamaForCausalLM


@pytest.mark.parametrize(
    ("special", "padding"),
    [
        ({"eos_token": "</s>", "pad_token": "film"}, "film"),
        ({"eos_token": "</s>"}, "</s>"),
        ({"bos_token": "<s>"}, None),
    ],
)
def test_padding_token(special, padding, tmp_path):
    save(tmp_path, LlamaForCausalLM(LLAMA), **special)
    if padding is None:
        with pytest.raises(SoftPromptError, match="neither a padding nor an end-of-sequence token.*pad_token"):
            load_backbone(tmp_path)
        return
    before = (tmp_path / "tokenizer_config.json").read_bytes()
    _, loaded = load_backbone(tmp_path)
    assert loaded.pad_token == padding
    assert len(loaded) == len(WORDS)
    assert (tmp_path / "tokenizer_config.json").read_bytes() == before


def test_an_unused_padding_token_goes_before_the_end_of_sequence(monkeypatch, tmp_path):
    monkeypatch.setattr(checkpoints, "WORDS", [*WORDS[:-1], "[PAD]"])
    _, loaded = load_backbone(save(tmp_path, LlamaForCausalLM(LLAMA)))
    assert loaded.pad_token == "[PAD]"


def edited(change: Callable[[Path], object]) -> Callable[[Path], str]:
    def prepare(folder: Path) -> str:
        save(folder, LlamaForCausalLM(LLAMA))
        change(folder)
        return str(folder)

    return prepare


def configured(**changes: object) -> Callable[[Path], str]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **changes}))

    return edited(change)


def adapter(folder: Path) -> str:
    folder.mkdir()
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "org/base"}')
    return str(folder)


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def truncated(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def sharded(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": {"lm_head.weight": "model-00001-of-00001.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def wordless(folder: Path) -> str:
    BertForMaskedLM(BERT).save_pretrained(folder)
    BertTokenizer().save_pretrained(folder)
    (folder / "tokenizer.json").unlink()
    return str(folder)


def without(name: str) -> Callable[[Path], str]:
    return edited(lambda folder: (folder / name).unlink())


BROKEN = {
    "no folder": (str, "does not exist: name a folder"),
    "no gguf file": (lambda folder: f"{folder}.gguf", "does not exist: name a folder, a .gguf file"),
    "a file": (
        lambda folder: f"{save(folder, LlamaForCausalLM(LLAMA))}/config.json",
        "is a file: name its folder",
    ),
    "empty folder": (lambda folder: folder.mkdir() or str(folder), "holds no model: config.json is missing"),
    "adapter": (adapter, r"holds an adapter, load the adapter's base model \(org/base\)"),
    "pickle": (edited(pickled), "pickle, which is never loaded: save them as safetensors"),
    "no weights": (without("model.safetensors"), "holds no weights: model.safetensors is missing"),
    "truncated": (edited(truncated), "cannot be read .*not fully covered.*: copy or download it again"),
    "missing shard": (edited(sharded), "cannot be read .*model-00001-of-00001.safetensors"),
    "bad json": (edited(lambda f: (f / "config.json").write_text("{")), "config.json' is not a valid JSON"),
    "no family": (
        edited(lambda f: (f / "config.json").write_text("{}")),
        "no config.json that names a model_type",
    ),
    "unknown family": (configured(model_type="zork"), "a family that this transformers does not know"),
    "own code": (
        configured(model_type="zork", auto_map={"AutoConfig": "config.Zork"}),
        "needs Python code of its own, which is never run",
    ),
    "other sizes": (configured(hidden_size=32), r"lm_head.weight is \(8, 16\) in the file and \(8, 32\)"),
    "missing layer": (configured(num_hidden_layers=3), "lacks 9 weights .*model.layers.2.input_layernorm"),
    "fewer embeddings": (
        lambda folder: str(save(folder, LlamaForCausalLM(LlamaConfig(**SIZES, vocab_size=7)))),
        "the tokenizer has 8 tokens, but the model embeds 7",
    ),
    "no tokenizer": (without("tokenizer.json"), "no tokenizer that can be read .*put tokenizer.json"),
    "broken tokenizer": (
        edited(lambda f: (f / "tokenizer.json").write_text("{")),
        "no tokenizer that can be read .*line 1",
    ),
    "tokenizer without words": (wordless, "no tokenizer that can be read: put tokenizer.json"),
    "no hub name": (lambda folder: "a bad name!", "no folder, no .gguf file and no name on the hub"),
    "no embedded": (lambda folder: "embedded:zork", "no embedded model 'zork'"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_wrong_is_told_in_one_line(case, tmp_path):
    prepare, message = BROKEN[case]
    name = prepare(tmp_path / "model")
    with pytest.raises(SoftPromptError, match=message) as caught:
        load_backbone(name)
    told = str(caught.value)
    assert "\n" not in told
    assert name.removeprefix("embedded:") in told


def test_a_device_that_is_not_there(tmp_path):
    with pytest.raises(SoftPromptError, match="device zork cannot be used .*choose cpu or cuda"):
        load_backbone(save(tmp_path, LlamaForCausalLM(LLAMA)), device="zork")


HUB_ERRORS = {
    "absent": (404, "RepoNotFound", "no folder here and no model on the hub"),
    "gated": (403, "GatedRepo", "is gated: accept its terms"),
    "files": (404, "EntryNotFound", "has no config.json that names a model_type"),
}
ASK = """
import sys
from softprompt.backbones.load import load_backbone
for name in sys.argv[1:]:
    try:
        model, _ = load_backbone(name)
        print(name, type(model).__name__)
    except Exception as error:
        print(name, type(error).__name__, str(error))
"""


class Hub(BaseHTTPRequestHandler):
    """Answers as the hub does: `/org/model/resolve/main/file`, from a folder or with an error code."""

    root: Path

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, *, with_body: bool) -> None:
        parts = self.path.split("?")[0].strip("/").split("/")
        file = self.root / parts[-1]
        if parts[1] in HUB_ERRORS:
            status, code, _ = HUB_ERRORS[parts[1]]
        elif "resolve" in parts and file.is_file() and (parts[1], file.suffix) != ("pickle", ".safetensors"):
            status, code = 200, ""
        else:
            status, code = 404, "EntryNotFound"
        body = file.read_bytes() if status == 200 else b""
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("ETag", f'"{parts[-1]}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def ask(names: list[str], **environment: str) -> dict[str, str]:
    run = subprocess.run(
        [sys.executable, "-c", ASK, *names],
        env={**os.environ, "HF_HUB_DISABLE_XET": "1", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.split(" ", 1) for line in run.stdout.splitlines())


def test_a_model_on_the_hub_and_what_the_hub_answers(tmp_path):
    Hub.root = save(tmp_path / "model", LlamaForCausalLM(LLAMA))
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        names = ["org/model", "org/pickle", *(f"org/{name}" for name in HUB_ERRORS)]
        endpoint = f"http://127.0.0.1:{server.server_port}"
        told = ask(names, HF_ENDPOINT=endpoint, HF_HOME=str(tmp_path / "cache"), HF_HUB_OFFLINE="0")
        server.shutdown()
    assert told["org/model"] == "LlamaForCausalLM"
    assert "no weights in safetensors, and pickle is never loaded" in told["org/pickle"]
    for name, (_, _, message) in HUB_ERRORS.items():
        assert told[f"org/{name}"].startswith(f"SoftPromptError backbone org/{name} ")
        assert message in told[f"org/{name}"]


def test_without_a_network_the_name_or_the_network_is_to_mend(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(SoftPromptError, match="backbone org/model is no folder here, and the hub cannot be"):
        load_backbone("org/model")


def test_a_gguf_file_gives_the_model_it_was_written_from(tmp_path):
    torch.manual_seed(0)
    original = LlamaForCausalLM(TIED).eval()
    file = tmp_path / "tiny.gguf"
    write_gguf(original, file)
    model, loaded = load_backbone(file)
    ids = torch.tensor([[1, 3, 4, 5]])
    assert type(model) is LlamaForCausalLM
    assert model.dtype == torch.float32
    torch.testing.assert_close(model(ids).logits, original(ids).logits)
    assert (loaded.bos_token_id, loaded.eos_token_id, loaded.pad_token_id) == (1, 2, 2)
    with pytest.raises(SoftPromptError, match=r"name the file .*tiny\.gguf"):
        load_backbone(tmp_path)
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(SoftPromptError, match=r"tiny\.gguf"):
        load_backbone(file)
