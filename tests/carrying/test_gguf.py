"""Exported checkpoints as llama.cpp reads them: converted, and asked as its own server is."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Gemma3TextConfig, GemmaTokenizer

import softprompt as sp

from ..shared import runs
from ..shared.carried import prompt_of
from ..shared.models import model, tokenizer
from ..shared.outside import stories

DOCS = Path(__file__).parents[2] / "docs" / "carrying.md"
TEXTS = (
    "Once upon a time",
    "The dog saw a big ball.",
    "Lily was sad",
    "Café  déjà\n\nvu — 12345 I'M",
    " a space",
    "a <b>b</b>",
)


def sentencepiece_folder(folder: Path) -> Path:
    """A tiny Gemma whose tokenizer was trained by sentencepiece."""
    trainer = pytest.importorskip("sentencepiece").SentencePieceTrainer
    (folder / "text.txt").write_text("\n".join(line for line in DOCS.read_text().splitlines() if line))
    trainer.train(
        input=str(folder / "text.txt"), model_prefix=str(folder / "tokenizer"), vocab_size=400, model_type="bpe",
        byte_fallback=True, minloglevel=2, num_threads=1, pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece="<pad>",
        eos_piece="<eos>", bos_piece="<bos>", add_dummy_prefix=False, remove_extra_whitespaces=False,
        user_defined_symbols=["<mask>"], normalization_rule_name="identity",
    )  # fmt: skip
    (folder / "base").mkdir()
    (folder / "tokenizer.model").rename(folder / "base" / "tokenizer.model")
    config = Gemma3TextConfig(
        vocab_size=400, hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, head_dim=32,
        num_key_value_heads=1, sliding_window=16, query_pre_attn_scalar=32, max_position_embeddings=256,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(1)
        AutoModelForCausalLM.from_config(config).save_pretrained(folder / "base")
    GemmaTokenizer.from_pretrained(folder / "base", add_bos_token=True).save_pretrained(folder / "base")
    return folder / "base"


def test_the_sentencepiece_model_and_the_tokens_added_to_it_lie_beside(tmp_path: Path) -> None:
    base = sentencepiece_folder(tmp_path)
    own, words = sp.load_backbone(str(base))
    prompt = prompt_of(own, sp.PromptTuning(num_virtual_tokens=4), words=words)
    folder = sp.export({"mine": prompt}, tmp_path / "new", to="vocabulary")
    assert (folder / "tokenizer.model").read_bytes() == (base / "tokenizer.model").read_bytes()
    assert str(base) not in (folder / "tokenizer_config.json").read_text()
    told = json.loads((folder / "tokenizer_config.json").read_text())["added_tokens_decoder"]
    assert [told[str(one)]["content"] for one in range(400, 404)] == [f"<|mine:{one}|>" for one in range(4)]
    assert {told[one]["content"] for one in "0123"} == {"<pad>", "<eos>", "<bos>", "<unk>"}
    assert all(one["special"] for one in told.values())
    found = AutoTokenizer.from_pretrained(folder)
    for text in TEXTS:
        assert found(text)["input_ids"] == words(text)["input_ids"]
        behind = found("<|mine:3|>" + text, add_special_tokens=False)["input_ids"]
        assert behind[0] == 403
        assert max(behind[1:]) < 400


def test_a_tokenizer_without_one_is_written_as_ever(tmp_path: Path) -> None:
    prompt = prompt_of(model("llama"), sp.PromptTuning(num_virtual_tokens=2))
    folder = sp.export({"mine": prompt}, tmp_path / "new", to="vocabulary")
    assert not (folder / "tokenizer.model").exists()
    tokenizer().save_pretrained(tmp_path / "plain")
    names = [set(json.loads((one / "tokenizer_config.json").read_text())) for one in (folder, tmp_path / "plain")]
    assert names[0] == names[1]


SERVER = """
import sys
import xllamacpp

params, whole = xllamacpp.CommonParams(), xllamacpp.ggml_type.GGML_TYPE_F32
params.model.path, params.port, params.hostnames = sys.argv[1], 0, ["127.0.0.1"]
params.n_ctx, params.n_parallel, params.verbosity, params.cpuparams.n_threads = 256, 1, 0, 1
params.cache_type_k = params.cache_type_v = whole
params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


@contextmanager
def llama_cpp(folder: Path) -> Iterator[Callable[..., Any]]:
    """Convert a checkpoint and serve it; gives the function that posts to the server."""
    python, sources = os.environ.get("SOFTPROMPT_LLAMA"), os.environ.get("SOFTPROMPT_LLAMA_CPP")
    if not python or not sources:
        pytest.skip(
            "SOFTPROMPT_LLAMA names no Python with xllamacpp (pip install xllamacpp), or SOFTPROMPT_LLAMA_CPP no "
            "folder with convert_hf_to_gguf.py (git clone --depth 1 https://github.com/ggml-org/llama.cpp)"
        )
    own, target = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}, folder.parent / "new.gguf"
    convert = [sys.executable, Path(sources) / "convert_hf_to_gguf.py", folder, "--outtype", "f32", "--outfile", target]
    done = subprocess.run(convert, capture_output=True, text=True, env=own)
    assert done.returncode == 0, done.stderr[-2000:]
    command = [python, "-c", SERVER, str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=own) as server:
        assert server.stdout is not None
        address = server.stdout.readline().strip()

        def post(path: str, **body: Any) -> Any:
            return json.load(urlopen(Request(address + path, json.dumps(body).encode())))

        post.__dict__["address"] = address
        yield post
        server.kill()


@pytest.mark.slow
@pytest.mark.parametrize("placement", ["front", "after_bos"])
@pytest.mark.parametrize("backbone", ["stories", "gemma3", "sentencepiece"])
def test_llama_cpp_goes_on_as_the_prompt_does(backbone: str, placement: str, tmp_path: Path) -> None:
    """To 2e-5 of a log probability; 1e-2 on Gemma, whose GELU llama.cpp looks up in a table of 16 bits."""
    sources = {"gemma3": lambda: "embedded:gemma3-270m", "stories": lambda: str(stories())}
    own, words = sp.load_backbone(sources.get(backbone, lambda: str(sentencepiece_folder(tmp_path)))())
    own.float()
    prompt = prompt_of(own, sp.PromptTuning(num_virtual_tokens=4, placement=placement), words=words)
    folder = sp.export({"mine": prompt}, tmp_path / "new", to="vocabulary")
    found, carried = AutoModelForCausalLM.from_pretrained(folder).float().eval(), AutoTokenizer.from_pretrained(folder)
    ids = json.loads((folder / "prompts.json").read_text())["mine"]["ids"]
    forbidden = [[one, False] for one in ids]
    with llama_cpp(folder) as post, prompt.attach() as prompted:
        for text in TEXTS:
            message = [{"role": "user", "content": text}]
            row = carried.apply_chat_template(message, chat_template="mine", return_dict=False)
            given = words(text, return_tensors="pt", return_token_type_ids=False)
            written = prompted.generate(**given, max_new_tokens=8, do_sample=False)[0, given["input_ids"].shape[1] :]
            asked = {"temperature": 0, "n_predict": 8, "logit_bias": forbidden, "cache_prompt": False, "n_probs": 50}
            told = post("/completion", prompt=row, return_tokens=True, **asked)
            assert told["tokens"] == written.tolist()
            if backbone != "sentencepiece":  # which writes halves of letters, of which the server tells no chances
                with torch.no_grad():
                    expected = found(torch.tensor([row])).logits[0, -1].log_softmax(-1)
                likeliest = told["completion_probabilities"][0]["top_logprobs"]
                shift = [abs(one["logprob"] - float(expected[one["id"]])) for one in likeliest]
                assert max(shift) < (2e-5 if backbone == "stories" else 1e-2)
            if backbone != "stories":  # by text: converted tokenizers read it alike
                string = carried.apply_chat_template(message, chat_template="mine", tokenize=False)
                first, rest = row[0], string.removeprefix(carried.convert_ids_to_tokens(row[0]))
                assert (
                    post("/completion", prompt=[first, rest], return_tokens=True, **asked)["tokens"] == told["tokens"]
                )
                chat = post("/v1/chat/completions", messages=message, max_tokens=8, temperature=0, logit_bias=forbidden)
                # llama.cpp puts a begin token in front of what a chat template gives, where none stands first.
                assert chat["usage"]["prompt_tokens"] == len(row) + (placement == "front")
                if (backbone, placement) == ("gemma3", "after_bos"):
                    assert chat["choices"][0]["message"]["content"].strip() == told["content"].strip()


@pytest.mark.slow
def test_the_program_of_the_docs_answers_as_the_prompt_does(tmp_path: Path) -> None:
    backbone, words = sp.load_backbone(str(stories()))
    task = runs.task(tmp_path / "data", labels={"0": "the", "1": "a"}, template="{text} {mask}")
    made = sp.train(
        backbone, words, task, sp.PromptTuning(num_virtual_tokens=4), output=tmp_path / "run", max_steps=2,
        learning_rate=1e-3, batch_size=8, progress=False, evaluations=1,
    )  # fmt: skip
    texts = ["Lily went to", "Once upon a time there was", "Tom saw", "They played in", "Mom gave her", "It was"]
    folder = sp.export({"mail": made.prompt}, tmp_path / "new", to="vocabulary")
    program = DOCS.read_text().split("### In llama.cpp")[1].split("```text\n")[2].split("```")[0]
    labels = json.loads((folder / "prompts.json").read_text())["mail"]["labels"]
    swaps = {
        '"both"': repr(str(folder)),
        '{1234: "billing", 5678: "delivery"}': repr({one: label for label, one in labels.items()}),
    }
    answers = made.prompt.predict(texts)
    assert set(answers) == {"0", "1"}
    with llama_cpp(folder) as post:
        swaps["http://127.0.0.1:8080"] = post.__dict__["address"]
        for old, new in swaps.items():
            assert old in program
            program = program.replace(old, new)
        for text, answer in zip(texts, answers, strict=True):
            with redirect_stdout(io.StringIO()) as out:
                exec(program.replace("Where is my parcel?", text), {})
            assert out.getvalue().strip() == answer
