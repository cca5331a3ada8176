"""What the playground has in memory: few backbones, and prompts over them; what was asked least lately goes first.

This file and `asking` alone of the room import torch, and they are imported by the first question.
"""

from __future__ import annotations

import gc
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import torch

from softprompt.backbones.backbone import Backbone
from softprompt.backbones.load import load_backbone
from softprompt.errors import SoftPromptError
from softprompt.files.places import META, folder_of
from softprompt.storage.prompt import Prompt, load
from softprompt.storage.record import read_description
from softprompt.studio.places import Root

_BACKBONES, _PROMPTS = 2, 32  # that stay loaded: a backbone has most of the memory, and seconds to come back


@dataclass(frozen=True)
class _Kept:
    """A prompt in memory, when its file was written, and what it is over."""

    stamp: int
    backbone: str
    prompt: Prompt


class Loaded:
    """The prompts of a folder, loaded as they are asked.

    Args:
        root: the folder.
    """

    def __init__(self, root: Root) -> None:
        """Nothing is loaded yet."""
        self._root = root
        self._backbones: OrderedDict[str, Backbone] = OrderedDict()
        self._prompts: OrderedDict[Path, _Kept] = OrderedDict()

    @property
    def backbones(self) -> list[str]:
        """The names of those in memory, the least lately asked first."""
        return list(self._backbones)

    def backbone_of(self, name: str) -> str:
        """The name of the backbone that a run's prompt is over; nothing is loaded.

        Raises:
            SoftPromptError: there is no such run, it is not finished, or its prompt names none.
        """
        folder = folder_of(self._root.run(name))
        if not (folder / META).is_file():
            raise SoftPromptError(f"{name}: this run is not finished: it has no prompt to ask yet")
        known = self._prompts.get(folder)
        if known is not None and known.stamp == _stamp(folder):
            return known.backbone
        found = read_description(folder).record.backbone_name
        if found is None:
            raise SoftPromptError(f"{name}: its prompt does not name its backbone: ask it with softprompt predict")
        return found

    def prompt(self, name: str) -> Prompt:
        """A run's prompt, loaded once until its file changes or others need the room.

        Raises:
            SoftPromptError: see `backbone_of`; or it cannot be loaded.
        """
        named, folder = self.backbone_of(name), folder_of(self._root.run(name))
        stamp, known = _stamp(folder), self._prompts.pop(folder, None)
        backbone = self._backbone(named)
        if known is None or known.stamp != stamp:
            known = _Kept(stamp, named, load(folder, backbone))
        self._prompts[folder] = known
        while len(self._prompts) > _PROMPTS:
            self._prompts.popitem(last=False)
        return known.prompt

    def _backbone(self, name: str) -> Backbone:
        if name not in self._backbones:
            while len(self._backbones) >= _BACKBONES:
                self._let_go(next(iter(self._backbones)))
            self._backbones[name] = load_backbone(name)
        self._backbones.move_to_end(name)
        return self._backbones[name]

    def _let_go(self, name: str) -> None:
        """Forget a backbone with what is over it, and give its memory back before another needs it."""
        del self._backbones[name]
        for folder in [folder for folder, kept in self._prompts.items() if kept.backbone == name]:
            del self._prompts[folder]
        gc.collect()  # the parts of a model refer to one another
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _stamp(folder: Path) -> int:
    return (folder / META).stat().st_mtime_ns
