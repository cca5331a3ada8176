"""Options of `generate` that cannot work with virtual tokens, each refused in one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from softprompt.backbones.compat import cache_in, length_of, room_of
from softprompt.errors import SoftPromptError
from softprompt.sites.attached import Attached

_REFUSED = {
    "assistant_model": "another model, which has no virtual tokens, would read the ids",
    "prompt_lookup_num_tokens": "virtual tokens would be looked up as text",
    "guidance_scale": "the unconditional pass would run without the prompt",
    "prefill_chunk_size": "a prompt must enter in one piece",
    "token_healing": "it spells the ids anew, virtual tokens among them",
}


def check_options(model: Attached, rows: Sequence[int], kwargs: Mapping[str, object]) -> None:
    """Refuse options that cannot work with virtual tokens, wherever they are set.

    Args:
        model: the attached model.
        rows: the prompt of each row.
        kwargs: of `generate`.

    Raises:
        SoftPromptError: one of these.
    """
    configs = (kwargs.get("generation_config"), model.backbone.generation_config)
    for name, why in _REFUSED.items():
        values = [kwargs.get(name), *(getattr(config, name, None) for config in configs)]
        if any(value is True or value not in (None, False, 1) for value in values):
            raise SoftPromptError(f"generate cannot take {name!r} with virtual tokens ({why}): leave it out")
    past = cache_in(kwargs)
    continues = past is not None and int(length_of(past)) > 0
    if continues and any(model.slots[row].count and model.slots[row].placement == "end" for row in rows):
        raise SoftPromptError("a prompt placed at the end cannot continue a cache: generate from the whole text")


def check_room(kwargs: Mapping[str, object], columns: int, added: int) -> None:
    """Refuse a cache of a fixed size that was counted without the virtual tokens.

    Raises:
        SoftPromptError: it has no room for the sequence and the tokens that are asked for.
    """
    cache, config = cache_in(kwargs), kwargs.get("generation_config")
    room = -1 if cache is None else room_of(cache)
    new = kwargs.get("max_new_tokens", getattr(config, "max_new_tokens", None))
    needed = columns + (new if isinstance(new, int) else 1) - 1  # what is written last is not read again
    if 0 < room < needed:
        raise SoftPromptError(
            f"the cache has room for {room} columns, and {needed} are needed, {added} of them for virtual tokens: make "
            "it longer"
        )
