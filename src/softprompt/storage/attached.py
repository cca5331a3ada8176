"""The prompts of an attached model, written as prompt folders: what its `save_pretrained` does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from softprompt.attached.attach import attach
from softprompt.attached.saving import Saving
from softprompt.backbones.backbone import Backbone
from softprompt.errors import SoftPromptError, quoted
from softprompt.files.manifest import MANIFEST
from softprompt.files.places import CARD, META, TENSORS
from softprompt.guards.paths import entries
from softprompt.methods.base import Method
from softprompt.sites.producer import Producer
from softprompt.storage.prompt import Prompt, save
from softprompt.storage.seen import SEEN

__all__ = ["attach", "save_attached"]  # `attach` from here gives what knows how it is saved

_OWN = {TENSORS, META, CARD, SEEN, MANIFEST}


@Saving.written_by
def save_attached(prompted: Saving, folder: Path) -> None:
    """Write one prompt to a folder, several to folders of their names in it.

    Raises:
        SoftPromptError: nothing is written that is not a prompt, or in the place of something else.
    """
    prompts = [attached_prompt(prompted, place) for place in range(len(prompted.names))]
    if not prompts:
        raise SoftPromptError("save_pretrained: no prompt is attached: attach one")
    alone = len(prompts) == 1
    places = [folder] if alone else [_inside(folder, name) for name in prompted.names]
    for place in places:
        others = [path.name for path in (entries(place) if place.is_dir() else ()) if path.name not in _OWN]
        if others:
            raise SoftPromptError(f"{place} holds something else ({quoted(others[0])}): choose a new folder")
    for prompt, place in zip(prompts, places, strict=True):
        save(prompt, place)


def attached_prompt(prompted: Saving, place: int) -> Prompt:
    """One of the prompts that are attached, with what is known of it.

    Args:
        prompted: the attached model.
        place: of the prompt among its `names`.

    Raises:
        SoftPromptError: it is a bare producer.
    """
    name, producer = prompted.names[place], prompted.prompts[place]
    source, backbone = prompted.sources.get(name), Backbone(prompted.backbone, prompted.tokenizer)
    assert isinstance(producer, Producer)
    if isinstance(source, Method):
        return Prompt(source, producer, None, None, None, backbone.fingerprint, *backbone)
    if not isinstance(source, Prompt):
        raise SoftPromptError(
            f"prompt {name!r} was attached as a {type(producer).__name__}, whose method is not known: attach a method "
            "or a loaded prompt"
        )
    if not prompted.was_trained:
        return replace(source, producer=producer)
    division = source.seen.division
    known = None if division is None else division.model_copy(update={"complete": False})
    told = {key: value for key, value in source.meta.items() if key not in ("metrics", "moved")}
    return replace(source, producer=producer, meta=told, seen=replace(source.seen, division=known))


def _inside(folder: Path, name: str) -> Path:
    if Path(name).name != name:
        raise SoftPromptError(f"save_pretrained: prompt {name!r} has no name of a folder: attach it under another")
    return folder / name
