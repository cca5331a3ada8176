"""A soft prompt for vLLM: the whole prompt of a request as embeddings, made here from a text and sent by `openai`.

The server is `vllm serve MODEL --enable-prompt-embeds`. It reads the tensor with weights_only, so no pickle is obeyed.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path

import torch
from openai import OpenAI
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

FOLDER = Path(__file__).parent


@torch.no_grad()
def embeddings(tokenizer: PreTrainedTokenizerBase, table: nn.Module, **fields: str) -> Tensor:
    """The prompt, and behind it a text in the task's template, `(P + N, H)`.

    Args:
        tokenizer: the model's.
        table: its input embedding, `model.get_input_embeddings()`, which multiplies by what the family multiplies by.
        fields: `content`, or those of a task of several.
    """
    template = (FOLDER / "chat_template.jinja").read_text(encoding="utf-8")
    message = {"role": "user", **fields}
    ids = tokenizer.apply_chat_template([message], chat_template=template, return_dict=False, return_tensors="pt")
    text: Tensor = table(ids)[0]
    return torch.cat([load_file(FOLDER / "prompt_embeds.safetensors")["prompt"].to(text), text])


def complete(client: OpenAI, model: str, whole: Tensor, max_tokens: int = 1) -> str:
    """The server's greedy answer to embeddings `(P + N, H)`."""
    packed = io.BytesIO()
    torch.save(whole, packed)
    sent = {"prompt_embeds": base64.b64encode(packed.getvalue()).decode()}
    told = client.completions.create(model=model, prompt="", max_tokens=max_tokens, temperature=0, extra_body=sent)
    return told.choices[0].text
