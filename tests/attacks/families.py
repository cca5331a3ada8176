"""Every text model of transformers' auto classes, tiny and random: kind, first position and padding against the truth.

The truth is found by running the whole model in other ways than the library does. Models come from the sweep's
`build.py` in the shared folder (`SOFTPROMPT_SHARED`); a type that it cannot build is counted and left.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import inspect
import warnings
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

import torch
import transformers
from torch import Tensor
from transformers.models.auto import modeling_auto

from softprompt.attached.attach import attach
from softprompt.backbones.anatomy import Anatomy, read_anatomy
from softprompt.errors import SoftPromptError
from softprompt.methods import PromptTuning

from ..shared.models import tokenizer
from ..shared.outside import SHARED

TITLE = "model families"
PROMISE = "a model is read as what it does with its tokens and positions, or refused in one line"
TESTS = ["tests/backbones/test_probe.py"]

BUILDER = SHARED / "cases" / "sweep" / "build.py"
LONG, SHORT = [1, 10, 61, 12, 13, 74, 15, 36, 57, 31, 2], [1, 40, 41, 68, 2]
Side: TypeAlias = Literal["left", "right"]
SIDES: tuple[Side, ...] = get_args(Side)
# The prompts of a batch that mixes two, and of each row alone.
MIXED: dict[int | None, dict[str, Any]] = {
    None: {"prompts": ["one", "other"]},
    0: {"prompts": "one"},
    1: {"prompts": "other"},
}
COUNTED = (
    "not built",
    "built",
    "refused in one line",
    "attached",
    "kinds right",
    "kinds wrong",
    "first positions right",
    "first positions wrong",
    "padded batches equal",
    "padded batches as unequal without a prompt",
    "padded batches refused in one line",
    "padded batches wrong",
    "tracebacks",
)
_SAME = 5e-4
# Heads and flags beside the sweep's own kinds, by the mapping that a type must stand in.
_MORE = {
    "seqcls": modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    "token": modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    "base": modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    "base, is_decoder": modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    "causal, no is_decoder": modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
}


@functools.cache
def builder() -> Any:
    """The sweep's `build.py`.

    Raises:
        FileNotFoundError: the shared folder has none.
    """
    if not BUILDER.is_file():
        raise FileNotFoundError(f"{BUILDER}: set SOFTPROMPT_SHARED to the folder that holds cases/sweep/build.py")
    spec = importlib.util.spec_from_file_location("sweep_build", BUILDER)
    module: Any = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    module.AUTO["token"] = transformers.AutoModelForTokenClassification
    return module


def pairs() -> list[tuple[str, str]]:
    """(what is built, model type): the sweep's own, then each type's other heads and flags."""
    own: list[tuple[str, str]] = builder().pairs()
    types = dict.fromkeys(name for _, name in own)
    return own + [
        (kind, name) for name in types for kind, mapping in _MORE.items() if name in mapping and (kind, name) not in own
    ]


def made(kind: str, family: str) -> Any:
    """One tiny model in evaluation mode; None where the kind is another's."""
    build = builder()
    head, _, flag = kind.partition(", ")
    if flag:
        config = build.config_of("base", family)
        if getattr(config, "is_encoder_decoder", False) or family not in build.mapping(head):
            return None
        real = build.config_of
        build.config_of = lambda *_: config
        config.is_decoder = flag == "is_decoder"
        try:
            return build.build(head, family)
        finally:
            build.config_of = real
    return build.build(head, family)


def run(model: Any, input_ids: Tensor, attention_mask: Tensor | None = None, **given: Any) -> Tensor:
    """Logits, or last states."""
    alone = type(model).__name__.endswith(("ForSequenceClassification", "EncoderModel"))  # it makes them of the ids
    if getattr(model.config, "is_encoder_decoder", False) and not alone:
        given["decoder_input_ids"] = torch.tensor([[1, 20, 21, 22]]).expand(input_ids.shape[0], -1)
    mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
    with torch.no_grad():
        output = model(input_ids=input_ids, attention_mask=mask, **given)
    found = getattr(output, "logits", None)
    return output[0] if found is None else found  # type: ignore[no-any-return]


def apart(one: Tensor, other: Tensor) -> float:
    """Largest difference, relative to the largest value."""
    return float((one - other).abs().max() / other.abs().max().clamp(min=1e-9))


def sees_later_tokens(model: Any) -> bool | None:
    """Whether the last word moves any token before it; None where outputs are not one a token."""
    ids = torch.tensor([LONG])
    other = ids.clone()
    other[0, -2] = 50
    body = model if run(model, ids).shape[:2] == ids.shape else model.base_model
    before, after = run(body, ids), run(body, other)
    return None if before.shape[:2] != ids.shape else apart(after[:, :-2], before[:, :-2]) > 1e-5


def first_position(part: Anatomy) -> set[int] | None:
    """The position ids of a first token that give what the body gives by itself; None where it takes none."""
    if "position_ids" not in inspect.signature(part.body.forward).parameters:
        return None
    ids = torch.tensor([[word for word in LONG if word > 2]])
    own, order = run(part.body, ids), torch.arange(ids.shape[1])[None]
    return {first for first in range(6) if apart(run(part.body, ids, position_ids=order + first), own) < 1e-5}


def padded(side: Side) -> tuple[Tensor, Tensor]:
    """The two rows as one batch and its mask."""
    pad = functools.partial(torch.nn.utils.rnn.pad_sequence, batch_first=True, padding_side=side)
    rows = [torch.tensor(LONG), torch.tensor(SHORT)]
    return pad(rows), pad([torch.ones_like(row) for row in rows])


def beside_itself(model: Any, side: Side, given: Mapping[int | None, dict[str, Any]] | None = None) -> float:
    """How far a padded batch's rows are from what they are alone; keywords are `given` to the batch and each row."""
    given = given or {None: {}, 0: {}, 1: {}}
    ids, mask = padded(side)
    both, worst = run(model, ids, mask, **given[None]), 0.0
    for row, words in enumerate((LONG, SHORT)):
        alone = run(model, torch.tensor([words]), **given[row])
        own = both[row : row + 1]
        if alone.ndim == 3 and alone.shape[1] == len(words):
            own = own[:, -len(words) :] if side == "left" else own[:, : len(words)]
        worst = max(worst, apart(own, alone))
    return worst


def bare(model: Any, side: Side) -> float:
    """As `beside_itself`, of the model without a prompt, whose positions may have to be given."""
    order = (padded(side)[1].cumsum(-1) - 1).clamp(min=0)
    found = [beside_itself(model, side)]
    with contextlib.suppress(Exception):  # it may take no position ids
        for first in range(3):
            given = {"position_ids": order + first}
            found.append(beside_itself(model, side, {None: given, 0: {}, 1: {}}))
    return min(found)


def look(kind: str, family: str) -> list[tuple[str, str]]:
    """What is found of one model: findings of `COUNTED`, each with what it is about."""
    try:
        model = made(kind, family)
        if model is None:
            return []
        ids = torch.tensor([LONG])
        if not torch.isfinite(run(model, ids)).all() or apart(run(model, ids), run(model, ids)):
            return [("not built", "outputs are not finite, or not the same twice")]
    except Exception as error:
        return [("not built", repr(error))]
    built = [("built", "")]
    try:
        part = read_anatomy(model)
        attach(model, tokenizer(), PromptTuning(num_virtual_tokens=3)).detach()
    except SoftPromptError as refusal:
        return [*built, ("refused in one line" if "\n" not in str(refusal) else "tracebacks", str(refusal))]
    except Exception as error:
        return [*built, ("tracebacks", repr(error))]
    found = [*built, ("attached", "")]
    truth = None if part.kind == "encoder-decoder" else sees_later_tokens(model)
    if truth is not None:
        found.append(("kinds right" if truth == (part.kind == "encoder") else "kinds wrong", part.kind))
    offsets = first_position(part)
    if offsets is not None:
        right = part.position_offset in offsets
        found.append(
            ("first positions right" if right else "first positions wrong", f"{part.position_offset}, {offsets}")
        )
    return [*found, *(_padding(model, side) for side in SIDES)]


def _padding(model: Any, side: Side) -> tuple[str, str]:
    """A padded batch under one prompt, and under two of different lengths."""
    prompts = {"one": PromptTuning(num_virtual_tokens=3), "other": PromptTuning(num_virtual_tokens=5)}
    try:
        with attach(model, tokenizer(), prompts["one"]) as prompted:
            single = beside_itself(prompted, side)
        with attach(model, tokenizer(), prompts) as prompted:
            mixed = beside_itself(prompted, side, MIXED)
    except SoftPromptError as refusal:
        return "padded batches refused in one line", f"{side}: {refusal}"
    except Exception as error:
        return "tracebacks", f"{side}: {error!r}"
    if max(single, mixed) < _SAME:
        return "padded batches equal", side
    own = bare(model, side)
    about = f"{side}: {single:.1e} with one prompt, {mixed:.1e} with two, {own:.1e} without"
    return f"padded batches {'as unequal without a prompt' if own > _SAME else 'wrong'}", about


def measure(tick: Any) -> dict[str, int]:
    """Every type with every head."""
    transformers.logging.set_verbosity_error()
    counts = dict.fromkeys(COUNTED, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind, family in pairs():
            for name, _ in look(kind, family):
                counts[name] += 1
            tick(1)
    return counts
