"""What a preset is: a method, its options and those of training as a paper or its code has them, run by run.

Names alone stand here, so that a mistyped one is told before torch is imported; what the options may be is checked
where a preset is applied (`softprompt.training.preset`).
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue

Settings: TypeAlias = dict[str, JsonValue]


class PresetRun(BaseModel):
    """One of a paper's runs: where it applies, and what it adds to the preset.

    Attributes:
        name: what the paper ran, as "BERT-large on BoolQ".
        kinds: of backbone that it is for; empty for any.
        families: of backbone (`model_type`); empty for any.
        tasks: by name or alias; empty for any.
        layers: of the paper's backbone; one of another depth is told.
        template: the pattern of a task in whose words the paper asks; a task without it keeps its own.
        source: where its settings are read, where that is not the preset's.
        options: of the method.
        training: options of training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    kinds: tuple[Literal["causal", "encoder", "encoder-decoder"], ...] = ()
    families: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    layers: int | None = Field(None, ge=1)
    template: str | None = None
    source: str | None = None
    options: Settings = {}
    training: Settings = {}


class Preset(BaseModel):
    """A paper's settings.

    Attributes:
        name: that it is asked for by.
        description: one line.
        title: of the paper.
        url: of the paper.
        source: where the settings are read.
        evidence: how far they are known, and what is ours where the sources say nothing.
        method: its name.
        tasks: of tasks that the paper casts otherwise, the task to take.
        dtype: of the backbone's weights, where the paper names it.
        options: of the method, in all runs.
        training: options of training, in all runs.
        runs: the first that fits backbone and task is taken.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    description: str
    title: str
    url: str
    source: str
    evidence: str
    method: str
    tasks: dict[str, str] = {}
    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    options: Settings = {}
    training: Settings = {}
    runs: tuple[PresetRun, ...] = Field(min_length=1)


class UsedPreset(BaseModel):
    """The preset of a run, as its records have it.

    Attributes:
        name: of the preset.
        run: which of its runs.
        changed: what of it the user has otherwise, with the user's values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: str
    run: str
    changed: Settings = {}
