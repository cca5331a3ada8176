"""`vocabulary`: an ordinary checkpoint in which the rows of prompts are further words of the vocabulary.

The word n of a prompt is the special token `<|NAME:n|>`, whose embedding is row n divided by what the model multiplies
embeddings by (Gemma: the root of H). Virtual tokens are no answers, so what generates is told to suppress their ids. A
task's template is a chat template of the prompt's name. Whoever reads such a checkpoint needs no softprompt.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import JsonValue
from tokenizers import AddedToken
from torch import Tensor, nn

from softprompt.backbones.packed import is_packed
from softprompt.backbones.vocabulary import embed_ids
from softprompt.carrying.chat_templates import chat_template, check_template, template_refusal
from softprompt.carrying.format import Format
from softprompt.carrying.gguf import carry_sentencepiece
from softprompt.carrying.heads import use_of
from softprompt.carrying.programs import fields_of, program
from softprompt.carrying.readme import write_readme
from softprompt.carrying.vectors import stream_refusal, stream_rows
from softprompt.errors import SoftPromptError, quoted
from softprompt.files import strict_json
from softprompt.readouts.label_words import LabelWords
from softprompt.storage.prompt import Prompt
from softprompt.tasks.text.encoding import affixes

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

LISTED = "prompts.json"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def vocabulary_refusal(prompt: Prompt) -> str | None:
    """Why a prompt is no words of a vocabulary."""
    part, own = prompt.backbone.anatomy, prompt.producer.footprint
    why = stream_refusal(prompt)
    if why is not None:
        return why
    if prompt.tokenizer is None:
        return "there is no tokenizer to put its words into"
    if prompt.readout is not None and prompt.readout.stored():
        return "its answers are read by what was trained or found along with it"
    if part.lookups:
        return "layers of this family look each word up in tables of their own"
    if part.kind != "causal" and part.absolute and not own.shift:
        return "its virtual tokens take no positions"
    if part.kind == "encoder-decoder" and not own.visible_to_decoder:
        return "the decoder does not see its virtual tokens"
    if own.placement == "after_bos" and not affixes(prompt.tokenizer)[0]:
        return "its virtual tokens stand behind a begin token, which the tokenizer does not have"
    if is_packed(part.embedding) or scale_of(part.embedding) is None:
        return "the input embedding is no plain table, or one that is multiplied by a number"
    return template_refusal(prompt)


@torch.no_grad()
def scale_of(embedding: nn.Module) -> float | None:
    """What an input embedding multiplies its rows by; None where that is no one number."""
    weight = getattr(embedding, "weight", None)
    if not isinstance(weight, Tensor) or weight.ndim != 2:
        return None
    ids = [one for one in range(min(8, weight.shape[0])) if bool(weight[one].any())]
    rows, made = weight[ids].float().cpu(), embed_ids(embedding, ids).cpu()
    scale = float((rows * made).sum() / rows.square().sum()) if ids else 1.0
    return scale if torch.allclose(made, rows * scale, atol=1e-2 * abs(scale), rtol=1e-2) else None


def write_vocabulary(prompts: Mapping[str, Prompt], folder: Path) -> None:
    """Write model, tokenizer, `prompts.json` and a README.

    Raises:
        SoftPromptError: prompts of several backbones, a name that no token can have, or a tokenizer that reads a text
            in another way once special tokens stand around it.
    """
    first = next(iter(prompts.values()))
    if any(one.fingerprint != first.fingerprint for one in prompts.values()):
        raise SoftPromptError("vocabulary: the prompts are of several backbones: export those of each apart")
    tokenizer = copy.deepcopy(first.tokenizer)
    own = tokenizer.chat_template
    there = own if isinstance(own, dict) else {"default": own}
    words = {name: _words(name, prompt, tokenizer, there) for name, prompt in prompts.items()}
    added = [AddedToken(one, special=True, normalized=False) for each in words.values() for one in each]
    tokenizer.add_tokens(added, special_tokens=True)
    known = tokenizer.get_vocab()
    ids = {name: [known[one] for one in each] for name, each in words.items()}
    templates = {name: chat_template(prompt, words[name]) for name, prompt in prompts.items()}
    default = there.get("default") or next(iter(templates.values()))
    tokenizer.chat_template = {**there, "default": default, **templates}
    for name, prompt in prompts.items():
        check_template(name, prompt, tokenizer, templates[name], ids[name])
    _model(prompts, ids, len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    carry_sentencepiece(tokenizer, folder)
    listed = {name: _listed(prompt, words[name], ids[name], templates[name]) for name, prompt in prompts.items()}
    (folder / LISTED).write_text(strict_json.dumps(listed) + "\n", encoding="utf-8")
    name, prompt = next(iter(prompts.items()))
    auto = use_of(prompt).auto
    opening = [
        f"from transformers import {auto}, AutoTokenizer",
        "",
        'folder = "this folder"',
        "tokenizer = AutoTokenizer.from_pretrained(folder)",
        f"model = {auto}.from_pretrained(folder)",
        f"message = { ({'role': 'user', **fields_of(prompt)})!r}",
        "row = tokenizer.apply_chat_template(",
        f'    [message], chat_template={name!r}, return_dict=True, return_tensors="pt"',
        ")",
    ]
    write_readme(folder, prompts, "transformers", program(prompt, opening))


def _words(
    name: str, prompt: Prompt, tokenizer: PreTrainedTokenizerBase, templates: Mapping[str, str | None]
) -> list[str]:
    if not _NAME.fullmatch(name):
        raise SoftPromptError(f"prompt {quoted(name)} cannot name a token: give it letters, digits, _, - and . alone")
    words, known = [f"<|{name}:{place}|>" for place in range(prompt.producer.count)], tokenizer.get_vocab()
    if words[0] in known or name in ("default", *templates):
        raise SoftPromptError(f"prompt {name!r}: the tokenizer has a token or template of that name: give it another")
    return words


@torch.no_grad()
def _model(prompts: Mapping[str, Prompt], ids: Mapping[str, Sequence[int]], size: int) -> PreTrainedModel:
    """A copy of the backbone whose input embedding holds the rows, and whose output suppresses them."""
    backbone = next(iter(prompts.values())).backbone
    model = copy.deepcopy(backbone.model)
    if size > backbone.anatomy.vocab_size:
        model.resize_token_embeddings(size, mean_resizing=False)
    embedding = model.get_input_embeddings()
    weight, scale = embedding.weight, scale_of(backbone.anatomy.embedding)
    assert isinstance(weight, Tensor)
    assert scale is not None
    for name, prompt in prompts.items():
        weight[list(ids[name])] = (stream_rows(prompt) / scale).to(weight)
    added = sorted(one for own in ids.values() for one in own)
    head = model.get_output_embeddings()
    if head is not None and head.weight is not weight:
        head.weight[added] = 0.0
    bias = getattr(head, "bias", None)
    if isinstance(bias, Tensor):
        bias[added] = torch.finfo(bias.dtype).min / 2
    if getattr(model, "generation_config", None) is not None:
        model.generation_config.suppress_tokens = [*(model.generation_config.suppress_tokens or ()), *added]
    return model


def _listed(prompt: Prompt, words: Sequence[str], ids: Sequence[int], template: str) -> dict[str, JsonValue]:
    """What a program needs to know of one prompt."""
    found: dict[str, JsonValue] = {"tokens": [*words], "ids": [*ids], "chat_template": template}
    if prompt.task is not None and isinstance(prompt.readout, LabelWords):
        found["labels"] = dict(zip(prompt.task.labels, prompt.readout.words, strict=True))
        found["read_at"] = "mask" if prompt.readout.name == "mask" else "last"
    return found


VOCABULARY = Format(vocabulary_refusal, write_vocabulary)
