"""`peft`: a folder that `peft.PeftModel.from_pretrained` loads, `adapter_config.json` and `adapter_model.safetensors`.

Which tensors each type has stands in `interop.peft_checkpoint`, which reads the folder back. Written are P-Tuning, MPT,
prefixes, LoRA and IA3 as PEFT's own types, and any other static prompt of the input as PROMPT_TUNING. Encoders of
P-Tuning and of prefixes are applied already, here as there, so that nothing is left to train on.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic import JsonValue
from torch import Tensor

from softprompt.backbones.windows import shortest_window
from softprompt.carrying.format import Format
from softprompt.carrying.heads import Use, head_refusal, use_of
from softprompt.carrying.named import base_name
from softprompt.carrying.readme import write_readme
from softprompt.carrying.vectors import pairs_of, place_refusal, prefix_refusal, stream_refusal, stream_rows
from softprompt.files import strict_json
from softprompt.files.places import ADAPTER, ADAPTER_WEIGHTS
from softprompt.files.tensors import write_tensors
from softprompt.interop.peft_adapters import BASE, PARTS, paths_in_model
from softprompt.methods.ia3 import IA3
from softprompt.methods.lora import LoRA
from softprompt.methods.mpt import MPT
from softprompt.methods.p_tuning import PTuning
from softprompt.methods.prefix_tuning import PrefixTuning
from softprompt.storage.prompt import Prompt

_LOG = logging.getLogger(__name__)


def peft_refusal(prompt: Prompt) -> str | None:
    """Why PEFT has no such prompt, or makes something else of it."""
    why = head_refusal(prompt)
    if why is not None or isinstance(prompt.method, LoRA | IA3):
        return why
    why = place_refusal(prompt) or (
        prefix_refusal(prompt) or _cache_refusal(prompt) if prompt.producer.joins else stream_refusal(prompt)
    )
    on_encoder = prompt.backbone.kind == "encoder" and not prompt.producer.joins
    if why is None and on_encoder and use_of(prompt).task_type == "SEQ_CLS":
        return "PEFT's classifier reads the first virtual token on an encoder, and not the text's"
    return why


def _cache_refusal(prompt: Prompt) -> str | None:
    """PEFT hands a prefix over as a cache, which not every class takes, in layers that are all alike."""
    use, anatomy = use_of(prompt), prompt.backbone.anatomy
    outer = use.task_type in ("CAUSAL_LM", "FEATURE_EXTRACTION")
    taking = type(prompt.model) if outer else type(anatomy.body)
    if "past_key_values" not in inspect.signature(taking.forward).parameters:
        return f"PEFT hands it over as past_key_values, which {taking.__name__} does not take"
    if len({pair.shape for layer in pairs_of(prompt) for pair in layer}) > 1:
        return "PEFT's prefix has keys and values of one size, and those of this family's layers differ"
    return None


def write_peft(prompts: Mapping[str, Prompt], folder: Path) -> None:
    """Write both files and a README."""
    (prompt,) = prompts.values()
    use = use_of(prompt)
    if isinstance(prompt.method, LoRA | IA3):
        values, tensors = _adapter(prompt)
        head = BASE
    else:
        values, tensors = _prefix(prompt) if prompt.producer.joins else _rows(prompt, use)
        values |= _sizes(prompt)
        head = "base_model."
    tensors |= {f"{head}{name}": value for name, value in use.head.items()}
    config: dict[str, JsonValue] = {
        **values,
        "task_type": use.task_type,
        "base_model_name_or_path": base_name(prompt),
        "inference_mode": True,
    }
    (folder / ADAPTER).write_text(strict_json.dumps(config) + "\n", encoding="utf-8")
    write_tensors(folder / ADAPTER_WEIGHTS, tensors)
    write_readme(folder, {"": prompt}, "peft", _use(use, prompt))


def _sizes(prompt: Prompt) -> dict[str, JsonValue]:
    """What PEFT would otherwise guess of the model, and of some families wrongly (a T5 whose heads are not H wide)."""
    part = prompt.backbone.anatomy
    return {
        "num_virtual_tokens": prompt.producer.count or prompt.producer.prefix,
        "num_layers": part.num_layers,
        "num_transformer_submodules": 2 if part.kind == "encoder-decoder" else 1,
        **({} if prompt.producer.joins else {"token_dim": part.embedding_size, "num_attention_heads": 1}),
    }


def _rows(prompt: Prompt, use: Use) -> tuple[dict[str, JsonValue], dict[str, Tensor]]:
    """A prompt of the input: its type, and its rows `(P, E)`.

    PEFT's code puts a multitask prompt into the decoder, too, and has no task for one on an encoder: there it goes as
    the rows that it makes.
    """
    twice = prompt.backbone.is_encoder_decoder
    if isinstance(prompt.method, MPT) and use.task_type == "CAUSAL_LM":
        own = prompt.producer.stored()
        tensors = {
            "prompt_embeddings": own["table"],
            "prefix_task_cols": own["columns"][None],
            "prefix_task_rows": own["rows"][None],
        }
        return {"peft_type": "MULTITASK_PROMPT_TUNING", "num_tasks": 1, "num_ranks": prompt.method.rank}, tensors
    rows = stream_rows(prompt)
    tensors = {"prompt_embeddings": torch.cat([rows, rows]) if twice else rows}
    if isinstance(prompt.method, PTuning):
        kind = "MLP" if prompt.method.encoder == "mlp" else "LSTM"
        width = prompt.backbone.anatomy.embedding_size
        made: dict[str, JsonValue] = {"encoder_reparameterization_type": kind, "encoder_hidden_size": width}
        return {"peft_type": "P_TUNING", **made}, tensors
    return {"peft_type": "PROMPT_TUNING", "prompt_tuning_init": "RANDOM"}, tensors


def _prefix(prompt: Prompt) -> tuple[dict[str, JsonValue], dict[str, Tensor]]:
    """Keys and values `(P, 2 L K D)`: of each layer its keys, then its values."""
    pairs = pairs_of(prompt)
    heads, _, width = pairs[0][0].shape
    flat = torch.cat([one.transpose(0, 1).flatten(1) for pair in pairs for one in pair], dim=1)
    window = shortest_window(prompt.backbone.anatomy)
    if window is not None:
        _LOG.warning(
            "peft: the backbone has a sliding window of %d: PEFT's prefix is seen from within it alone, and ours from "
            "everywhere: they agree as long as prefix and text are no longer",
            window,
        )
    values: dict[str, JsonValue] = {
        "peft_type": "PREFIX_TUNING",
        "prefix_projection": isinstance(prompt.method, PrefixTuning) and prompt.method.reparametrise,
        "token_dim": heads * width,
        "num_attention_heads": heads,
    }
    return values, {"prompt_embeddings": flat}


def _adapter(prompt: Prompt) -> tuple[dict[str, JsonValue], dict[str, Tensor]]:
    """The layers of a LoRA or an IA3, under the names of the model's modules."""
    method, stored, paths = prompt.method, prompt.producer.stored(), paths_in_model(prompt.backbone)
    kind = "LORA" if isinstance(method, LoRA) else "IA3"
    found: dict[str, dict[str, Tensor]] = {}
    for name, tensor in stored.items():
        part = next(one for one in PARTS[kind] if name.endswith(f".{one}"))
        found.setdefault(paths[name.removesuffix(f".{part}")], {})[part] = tensor
    tensors = {f"{BASE}{path}.{part}": one for path, parts in found.items() for part, one in parts.items()}
    modules = dict(prompt.model.named_modules())
    values: dict[str, JsonValue] = {
        "peft_type": kind,
        "target_modules": [*found],
        "fan_in_fan_out": any(hasattr(modules[path], "nf") for path in found),  # GPT-2's transposed layers
    }
    if isinstance(method, LoRA):
        values |= {"r": method.rank, "lora_alpha": method.alpha, "lora_dropout": method.dropout, "bias": "none"}
    else:
        values["feedforward_modules"] = [path for path, parts in found.items() if parts["ia3_l"].shape[0] == 1]
    return values, tensors


def _use(use: Use, prompt: Prompt) -> list[str]:
    outputs = f", num_labels={use.outputs}" if use.outputs else ""
    lines = [
        "```python",
        "from peft import PeftModel",
        f"from transformers import {use.auto}, AutoTokenizer",
        "",
        f"name = {strict_json.dumps(base_name(prompt) or '...')}",
        "tokenizer = AutoTokenizer.from_pretrained(name)",
        f"model = {use.auto}.from_pretrained(name{outputs})",
        'model = PeftModel.from_pretrained(model, "this folder").eval()',
        "```",
    ]
    if use.read:
        ahead = f"; the first {prompt.producer.count} columns are the virtual tokens'" if prompt.producer.count else ""
        lines += ["", f"The logits of the answer are read {use.read}{ahead}."]
    return lines


PEFT = Format(peft_refusal, write_peft)
