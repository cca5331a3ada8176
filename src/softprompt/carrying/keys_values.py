"""`keys-values`: what a prompt is to each attention of a causal model, as the past of any call.

In a causal model nothing that stands in front of a text depends on it. So a prompt whose vectors are the same for every
text, rows of the input and vectors of the layers alike, is its keys and values: those of its prefix, and behind them
those that the frozen model makes of its virtual tokens. Tensors are `keys.LAYER` and `values.LAYER`, `(K, P, D)`, fp32.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from transformers import DynamicCache

from softprompt.backbones.windows import shortest_window
from softprompt.carrying.chat_templates import template_refusal
from softprompt.carrying.format import Format
from softprompt.carrying.named import base_name
from softprompt.carrying.programs import program
from softprompt.carrying.readme import write_readme
from softprompt.carrying.standing_beside import write_beside
from softprompt.carrying.vectors import pairs_of, place_refusal, static_refusal
from softprompt.files.tensors import write_tensors
from softprompt.sites.modes import evaluating
from softprompt.storage.prompt import Prompt

_LOG = logging.getLogger(__name__)
_ROW = (1, 2, 3)  # any ids: what is compared is two ways to the same logits


def keys_values_refusal(prompt: Prompt) -> str | None:
    """Why a prompt is no past of a causal model."""
    if prompt.backbone.kind != "causal":
        return "only a causal model takes keys and values as its past"
    if prompt.readout is not None and prompt.readout.stored():
        return "its answers are read by what was trained or found along with it"
    if prompt.tokenizer is None:
        return "there is no tokenizer for its template"
    if prompt.producer.joins and prompt.producer.prefix_values() is not None:
        return "its layers weigh their prefixes"
    why = static_refusal(prompt) or place_refusal(prompt) or template_refusal(prompt)
    if why is not None:
        return why
    pairs = keys_values_of(prompt)
    if len({keys.shape[1] for keys, _ in pairs}) > 1:
        return "it has keys and values in some layers alone"
    return None if _is_past(prompt, pairs) else f"family {prompt.backbone.family!r} remembers more than keys and values"


@torch.no_grad()
def keys_values_of(prompt: Prompt) -> list[tuple[Tensor, Tensor]]:
    """Each layer's keys and values, `(K, P, D)`, fp32 on the CPU; none where the model keeps no such cache."""
    count, pairs = prompt.producer.count, pairs_of(prompt) if prompt.producer.joins else []
    if not count:
        return pairs
    with prompt.attached() as prompted:
        kept = prompted(input_ids=torch.tensor([[_ROW[0]]], device=prompt.backbone.device), use_cache=True)
    layers = getattr(getattr(kept, "past_key_values", None), "layers", ())
    if not all(isinstance(getattr(one, "keys", None), Tensor) for one in layers):
        return []
    found = [tuple(kind[0, :, :count].float().cpu() for kind in (one.keys, one.values)) for one in layers]
    if not pairs:
        return [(keys, values) for keys, values in found]
    return [(torch.cat([a, c], 1), torch.cat([b, d], 1)) for (a, b), (c, d) in zip(pairs, found, strict=True)]


@torch.no_grad()
def _is_past(prompt: Prompt, pairs: list[tuple[Tensor, Tensor]]) -> bool:
    """Whether the model answers with these as its past as it does with the prompt."""
    if not pairs or len(pairs) != prompt.backbone.anatomy.num_layers:
        return False
    row, model, cache = torch.tensor([_ROW], device=prompt.backbone.device), prompt.model, DynamicCache()
    for layer, pair in enumerate(pairs):
        keys, values = (one[None].to(prompt.backbone.device, prompt.backbone.dtype) for one in pair)
        cache.update(keys, values, layer)
    seen = torch.ones(1, cache.get_seq_length() + len(_ROW), dtype=torch.long, device=row.device)
    with evaluating(model):
        found = model(input_ids=row, attention_mask=seen, past_key_values=cache)[0].float()
    with prompt.attached() as prompted:
        expected = prompted(input_ids=row)[0].float()
    width = 1e-3 if prompt.backbone.dtype == torch.float32 else 0.1
    return torch.allclose(found, expected, atol=width * float(expected.abs().max()), rtol=width)


def write_keys_values(prompts: Mapping[str, Prompt], folder: Path) -> None:
    """Write the tensors, the template, the loader and a README.

    Raises:
        SoftPromptError: see `check_template`.
    """
    ((name, prompt),) = prompts.items()
    window = shortest_window(prompt.backbone.anatomy)
    if window is not None and prompt.producer.joins:
        _LOG.warning(
            "keys-values: the backbone has a sliding window of %d: a past is seen from within it alone, and our prefix "
            "from everywhere: they agree as long as prefix and text are no longer",
            window,
        )
    named = {"keys": 0, "values": 1}
    pairs = keys_values_of(prompt)
    write_tensors(
        folder / "keys_values.safetensors",
        {f"{kind}.{layer}": pair[at] for layer, pair in enumerate(pairs) for kind, at in named.items()},
    )
    fields = write_beside(folder, name, prompt, "past.py")
    opening = [
        "import sys",
        "",
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        'sys.path.insert(0, "this folder")',
        "from past import encode",
        "",
        f"name = {base_name(prompt) or '...'!r}",
        "tokenizer = AutoTokenizer.from_pretrained(name)",
        "model = AutoModelForCausalLM.from_pretrained(name)",
        f"row = encode(tokenizer, model, {fields})",
    ]
    write_readme(folder, {"": prompt}, "transformers", program(prompt, opening))


KEYS_VALUES = Format(keys_values_refusal, write_keys_values)
