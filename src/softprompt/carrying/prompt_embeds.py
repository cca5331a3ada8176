"""`prompt-embeds`: the rows of a prompt, and a client that sends them with a text's as the whole prompt of a request.

For vLLM's `/v1/completions` with `--enable-prompt-embeds`. A request is embeddings from end to end: one that mixes them
with tokens has shared cached entries with others that differ (vllm-project/vllm#56655).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from softprompt.carrying.chat_templates import template_refusal
from softprompt.carrying.format import Format
from softprompt.carrying.named import base_name
from softprompt.carrying.readme import write_readme
from softprompt.carrying.standing_beside import write_beside
from softprompt.carrying.vectors import place_refusal, stream_refusal, stream_rows
from softprompt.files.tensors import write_tensors
from softprompt.storage.prompt import Prompt


def prompt_embeds_refusal(prompt: Prompt) -> str | None:
    """Why a prompt is no embeddings in front of a text's."""
    if prompt.backbone.kind != "causal" or not prompt.backbone.has_lm_head:
        return "vLLM completes with causal language models alone"
    if prompt.readout is not None and prompt.readout.stored():
        return "its answers are read by what was trained or found along with it"
    if prompt.tokenizer is None:
        return "there is no tokenizer for its template"
    if prompt.backbone.anatomy.lookups:
        return "layers of this family look each word up in tables of their own"
    return stream_refusal(prompt) or place_refusal(prompt) or template_refusal(prompt)


def write_prompt_embeds(prompts: Mapping[str, Prompt], folder: Path) -> None:
    """Write the rows, the template, the client and a README.

    Raises:
        SoftPromptError: see `check_template`.
    """
    ((name, prompt),) = prompts.items()
    write_tensors(folder / "prompt_embeds.safetensors", {"prompt": stream_rows(prompt)})
    fields = write_beside(folder, name, prompt, "client.py")
    lines = [
        "```python",
        "import sys",
        "",
        "from openai import OpenAI",
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        'sys.path.insert(0, "this folder")',
        "from client import complete, embeddings",
        "",
        f"name = {base_name(prompt) or '...'!r}",
        "tokenizer = AutoTokenizer.from_pretrained(name)",
        "table = AutoModelForCausalLM.from_pretrained(name).get_input_embeddings()",
        'server = OpenAI(base_url="http://localhost:8000/v1", api_key="none")',
        f"print(complete(server, name, embeddings(tokenizer, table, {fields})))",
        "```",
    ]
    write_readme(folder, {"": prompt}, "vllm", lines)


PROMPT_EMBEDS = Format(prompt_embeds_refusal, write_prompt_embeds)
