"""Keeps the tables of `docs/choosing.md` true: what each method needs of a backbone, and what it costs.

    python -m docs.needs          # writes the tables
    python -m docs.needs --check  # says whether they are out of date, and exits with 1

Nothing in them is typed in by hand. Each method is built for backbones of three sizes that have no weights, which gives
its numbers, and put to use on tiny models, which shows where it is refused and whether it reads the text.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import (
    BertConfig,
    BertModel,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    T5Config,
    T5ForConditionalGeneration,
)

import softprompt as sp
from softprompt.attached import attach
from softprompt.methods import Method, methods
from softprompt.methods.parts.first_pass import FirstPass
from softprompt.methods.parts.peft_layers import PeftLayers
from softprompt.readouts import build_readout
from softprompt.sites.producer import Producer
from softprompt.training.setup import readout_spec

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.shared.models import ids, model, tokenizer
from tests.shared.prompts import METHODS as SMALL
from tests.shared.prompts import attached

DOCS = Path(__file__).parent
PAGE = DOCS / "choosing.md"
TASK = sp.Task(name="films", template="{text} was {mask}", labels={"0": "w10", "1": "w11"})
KINDS = ("decoder", "encoder", "encoder without LM head", "encoder-decoder")
SIZES = ("Gemma 3 270M", "MiniLM-L6", "T5-base")
NO = "-"


@cache
def sized(name: str) -> sp.Backbone:
    """A backbone of some sizes, without weights."""
    with torch.device("meta"):
        if name == "T5-base":
            sizes = {"vocab_size": 32128, "d_model": 768, "d_kv": 64, "d_ff": 3072, "num_layers": 12, "num_heads": 12}
            made: Any = T5ForConditionalGeneration(T5Config(**sizes))
        elif name == "MiniLM-L6":
            own = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
            made = BertModel(BertConfig(**own))
        else:
            heads = {"num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256}
            own = {"vocab_size": 262144, "hidden_size": 640, "intermediate_size": 2048, "num_hidden_layers": 18}
            made = Gemma3ForCausalLM(Gemma3TextConfig(**own, **heads))
    return sp.Backbone(made, tokenizer())


@cache
def used(kind: str) -> sp.Backbone:
    """A tiny backbone of a kind."""
    family = {"decoder": "llama", "encoder-decoder": "t5"}.get(kind, "bert")
    own = model(family)
    return sp.Backbone(own.base_model if kind == "encoder without LM head" else own, tokenizer())


def built(method: Method, backbone: sp.Backbone) -> Producer:
    """A prompt for a backbone without weights, with all that is trained."""
    context = replace(attach._context(backbone, method), sketch=True)
    try:
        return method.build(context)
    except NotImplementedError:  # it starts from the backbone's own states; nothing of it is dropped after training
        return attach.sketch(backbone, method)


@dataclass(frozen=True)
class Cost:
    """What a method has on a backbone.

    Attributes:
        trained: scalars.
        stored: scalars.
        tokens: that a row is longer by, in the sequence or in front of its keys and values.
        lowest: the layer at which the backward pass ends.
    """

    trained: int
    stored: int
    tokens: int
    lowest: int


def cost(method: Method, size: str) -> Cost | None:
    """Of a method with its own defaults; None where it cannot serve the backbone."""
    backbone = sized(size)
    try:
        made = built(method, backbone)
    except sp.SoftPromptError:
        return None
    stored = sum(one.numel() for one in made.stored_in(backbone.model).values())
    trained = sum(one.numel() for one in made.parameters() if one.requires_grad)
    if method.name == "full_finetuning":  # its copies are made when it is attached
        trained = stored
    own = made.footprint
    return Cost(trained, stored, own.count + own.prefix, own.first_layer)


def read_by(method: Method, kind: str) -> tuple[str, str]:
    """The readout of a method on a kind of backbone; or a dash, and why not."""
    backbone = used(kind)
    try:
        made = attach.build(backbone, SMALL.get(method.name, method))
        spec = readout_spec(backbone.model, TASK, method, sp.TrainingOptions())
        build_readout(TASK, backbone, made, spec)
    except sp.SoftPromptError as error:
        return NO, str(error)
    return f"`{spec.name}`", ""


def reads_text(method: Method) -> bool:
    """Whether what a prompt puts into the model is another thing for another text of the same length."""
    kind = next(kind for kind in ("decoder", "encoder") if not method.refusal(used(kind).anatomy))
    put: list[Any] = []
    with attached(used(kind).model, SMALL[method.name]) as prompted, torch.no_grad():
        (own,) = prompted.prompts
        for name in ("embed", "rewrite", "shift_text"):
            setattr(own, name, _told(getattr(own, name), put))
        for seed in (1, 2):
            prompted(input_ids=ids(7, seed))
    half = len(put) // 2
    return not all(map(torch.equal, put[:half], put[half:]))


def _told(gives: Callable[..., Any], put: list[Any]) -> Callable[..., Any]:
    """The same function, of which all that it gives is kept."""

    def giving(*given: Any) -> Any:
        made = gives(*given)
        put.extend([] if made is None else [made])
        return made

    return giving


def besides(method: Method) -> str:
    """What else a method needs or does."""
    told = []
    refused = method.refusal(sized(SIZES[0]).anatomy)
    if refused:
        told.append(f"refused where {refused}")
    elif isinstance(built(method, sized(SIZES[0])), PeftLayers):
        told.append("PEFT: `pip install 'softprompt[peft]'`")
    parts = built(method, sized(SIZES[0])).modules() if refused is None else ()
    if any(isinstance(value, FirstPass) for part in parts for value in vars(part).values()):
        told.append("every row goes through the model twice")
    return "; ".join(told)


@cache
def needs_table() -> str:
    """Which readout answers where, and what is needed besides."""
    rows = []
    for name, one in sorted(methods(installed=False).items()):
        method = one()
        cells = [read_by(method, kind)[0] for kind in KINDS]
        rows.append([_link(name), *cells, besides(method)])
    return _table(["method", *KINDS, "besides"], rows)


@cache
def costs_table() -> str:
    """Sites, tokens and scalars."""
    rows = []
    for name, one in sorted(methods(installed=False).items()):
        method = one()
        found = [cost(method, size) for size in SIZES]
        first = next(one for one in found if one is not None)
        lowest = str(first.lowest) if first.lowest else ""
        scalars = [NO if one is None else _scalars(one) for one in found]
        text = "yes" if reads_text(method) else ""
        rows.append([_link(name), method.site, text, str(first.tokens or ""), lowest, *scalars])
    return _table(["method", "enters at", "reads the text", "tokens", "lowest layer", *SIZES], rows)


def _scalars(one: Cost) -> str:
    return f"{one.trained:,}" if one.trained == one.stored else f"{one.trained:,}, {one.stored:,} stored"


def _link(name: str) -> str:
    pages = {path.stem: path.read_text(encoding="utf-8") for path in (DOCS / "methods").glob("*.md")}
    page = name if name in pages else next(page for page, text in pages.items() if f"\n## {name}\n" in text)
    anchor = "" if page == name else f"#{name}"
    return f"[`{name}`](methods/{page}.md{anchor})"


def _table(head: list[str], rows: list[list[str]]) -> str:
    first, *others = (f"| {' | '.join(line)} |" for line in (head, *rows))
    return "\n".join([first, "|---" * len(head) + "|", *others])


def page() -> str:
    """The page with its tables as they should be."""
    text = PAGE.read_text(encoding="utf-8")
    for name, table in (("needs", needs_table()), ("costs", costs_table())):
        begin, end = f"<!-- {name}: python -m docs.needs -->\n\n", f"\n\n<!-- /{name} -->"
        text = re.sub(f"(?s)(?<={re.escape(begin)}).*?(?={re.escape(end)})", lambda _, own=table: own, text)
    return text


def main(arguments: list[str]) -> int:
    """Write the page where it has changed, or with `--check` say so."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    text = page()
    if text == PAGE.read_text(encoding="utf-8"):
        return 0
    if "--check" in arguments:
        print(f"out of date: {PAGE.name}: run make needs")
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
