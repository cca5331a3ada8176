"""Whole prompts as embeddings: what is sent answers in the model as the prompt does here."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import openai
import pytest
import torch

import softprompt as sp
from softprompt.methods import Method

from ..shared import runs
from ..shared.carried import prompt_of
from ..shared.models import DECODERS, model, tokenizer


def beside(folder: Path) -> Any:
    """The client that was written."""
    assert "softprompt" not in (folder / "client.py").read_text()
    spec = importlib.util.spec_from_file_location("client", folder / "client.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.mark.parametrize("family", DECODERS)
def test_the_embeddings_answer_as_the_prompt_does(family: str, tmp_path: Path) -> None:
    prompt = prompt_of(model(family), sp.MPT(num_virtual_tokens=3))
    client = beside(sp.export(prompt, tmp_path / "new", to="prompt-embeds"))
    whole = client.embeddings(tokenizer(), model(family).get_input_embeddings(), content="w20 w41 w42")
    row = tokenizer()("w20 w41 w42", return_tensors="pt")["input_ids"]
    assert whole.shape == (3 + row.shape[1], 32)
    with torch.no_grad(), prompt.attach() as prompted:
        found, expected = model(family)(inputs_embeds=whole[None]).logits[:, 3:], prompted(row).logits
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_the_client_sends_all_of_it_in_one_request(tmp_path: Path) -> None:
    prompt = runs.run(tmp_path, "llama", sp.PromptTuning(num_virtual_tokens=3), max_steps=2).prompt
    client = beside(sp.export(prompt, tmp_path / "new", to="prompt-embeds"))
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
