"""The contract of a method: options in, a `Producer` out, and defaults that say where they come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import torch
from pydantic import JsonValue, model_validator
from torch import Tensor

from softprompt.backbones.anatomy import Anatomy, BackboneKind
from softprompt.backbones.heads import Pooling, ReadoutName
from softprompt.backbones.vocabulary import embed_ids
from softprompt.errors import SoftPromptError
from softprompt.guards import limits
from softprompt.guards.old_names import old_name
from softprompt.guards.tokenizing import tokenise
from softprompt.methods.options import Options
from softprompt.sites.producer import Producer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MOST = 1 << 20  # the largest whole number among a method's options
OptimizerName: TypeAlias = Literal["adamw", "adafactor", "adafactor_t5x"]
# Of an option, the other one that it depends on and that one's values; True for all that count as true.
Needs: TypeAlias = Mapping[str, tuple[str, tuple[JsonValue, ...] | Literal[True]]]


@dataclass(frozen=True)
class Recipe:
    """How a method is trained on one kind of backbone.

    Attributes:
        learning_rate: of the prompt.
        source: the paper, table or measurement that it comes from.
        optimizer: `adamw`, `adafactor`, or `adafactor_t5x`, which keeps the whole second moment.
        schedule: `linear`, `cosine` or `constant`.
        warmup_ratio: share of the steps with a rising learning rate.
        weight_decay: decoupled weight decay.
        epochs: passes over the training rows.
        batch_size: rows a step.
        head_learning_rate: of a linear head trained beside the prompt.
        measured_on: the families (`model_type`) on which this rate was published for this method, or chosen among
            several by measurement here; to others it is carried over. None where that is not told, or where no rate
            depends on the family.
    """

    learning_rate: float
    source: str
    optimizer: OptimizerName = "adamw"
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup_ratio: float = 0.0
    weight_decay: float = 0.0
    epochs: int = 20
    batch_size: int = 16
    head_learning_rate: float = 1e-2
    measured_on: tuple[str, ...] | None = None

    def carried_to(self, family: str) -> bool:
        """Whether the rate stands for a family on which nobody measured it.

        Example:
            >>> [sp.Recipe(0.3, "the paper", measured_on=("t5",)).carried_to(family) for family in ("t5", "bert")]
            [False, True]
        """
        return self.measured_on is not None and family not in self.measured_on


@dataclass(frozen=True)
class BuildContext:
    """What a method may look at when it builds a prompt.

    Attributes:
        anatomy: sizes and parts of the backbone.
        tokenizer: the backbone's tokenizer, or None.
        label_words: the task's label words, where there are any.
        generator: the source of every random draw.
        words_of: the ids of a template's own words, which the task's template language tells from its places.
        blank: the first values will be overwritten by stored ones, so nothing need be read for them.
        sketch: types and shapes are all that is wanted; the default device is `meta`, and the model is not read.
    """

    anatomy: Anatomy
    tokenizer: PreTrainedTokenizerBase | None
    label_words: tuple[str, ...]
    generator: torch.Generator
    words_of: Callable[[str], tuple[int, ...]]
    blank: bool = False
    sketch: bool = False

    @torch.no_grad()
    def embed(self, ids: Sequence[int]) -> Tensor:
        """Embeddings of vocabulary ids as the model's own input embedding gives them: fp32, `(len(ids), E)`."""
        if self.sketch:
            return torch.empty(len(ids), self.anatomy.embedding_size)
        return embed_ids(self.anatomy.embedding, ids)

    def rows(self, ids: Sequence[int]) -> Tensor:
        """`embed`, on the device on which a prompt is built: the CPU, or `meta` for a sketch."""
        return self.embed(ids).to(torch.get_default_device())

    def tokens(self, text: str) -> list[int]:
        """Ids of a text without special tokens.

        Raises:
            SoftPromptError: there is no tokenizer, or the text has no tokens.
        """
        if self.tokenizer is None:
            raise SoftPromptError(f"a tokenizer is needed to start from the text {text!r}: pass one to attach")
        limits.check_text(text, "the text to start from")
        limits.check(len(text), limits.TEMPLATE, "characters", "the text to start from", "shorten it")
        ids: list[int] = tokenise(self.tokenizer, text, add_special_tokens=False)["input_ids"]
        if not ids:
            raise SoftPromptError(f"the text {text!r} has no tokens: give one with words")
        return ids


class Method(Options, ABC):
    """A method of the soft-prompt line: its options are the fields, its mathematics the producer it builds.

    A sub-class says where it comes from in class variables, declares its options as pydantic fields with descriptions
    (the command line, `--set` and the docs read them), and builds a producer.

    Attributes:
        name: on the command line.
        title: of the paper.
        url: of the paper.
        site: `stream`, `hidden`, `attention`, `weights` or `none`.
        evidence: how far what the file does is known: paper, code, notes, or our choice; a row of the paper index.
        course: how it is trained: `fit` (one fit), or the name of a course in `softprompt.training.courses`.
        per_task: parts of its producer that each task has of its own where several are trained together; tasks share
            all others (`softprompt.training.multitask`).
        needs: options that have a part only where another option has one of some values.
        recipes: training defaults by `model_type`, else by kind of backbone, else `default`.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    url: ClassVar[str]
    site: ClassVar[str]
    evidence: ClassVar[str] = "our choice"
    course: ClassVar[str] = "fit"
    per_task: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[Needs] = {}
    recipes: ClassVar[dict[str, Recipe]]

    @model_validator(mode="after")
    def _countable(self) -> Method:
        """No prompt has as much of anything; what counts so far would be made before it is found to have no room."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, int) and abs(value) > MOST:
                raise ValueError(f"{name} is more than {MOST:,}: choose less")
        return self

    @model_validator(mode="after")
    def _heard(self) -> Method:
        """A text that is given and read by nothing, since the option that it depends on is not given, is forgotten."""
        given, fields = self.model_fields_set, type(self).model_fields
        for name in sorted(given & self.needs.keys()):
            other, values = self.needs[name]
            text = fields[name].default is None and isinstance(getattr(self, name), str)
            if text and other not in given and values is not True and name not in self.in_use():
                raise ValueError(f"{name} has a part with {other}={values[0]!r} alone: set that, or leave {name} out")
        return self

    @abstractmethod
    def build(self, context: BuildContext) -> Producer:
        """Make the prompt, initialised."""

    def recipe(self, family: str, kind: BackboneKind) -> Recipe:
        """The training defaults for a backbone: its family's, else its kind's, else the method's."""
        for key in (family, kind):
            if key in self.recipes:
                return self.recipes[key]
        return self.recipes["default"]

    def readout(self, kind: BackboneKind, *, has_lm_head: bool) -> ReadoutName:
        """The readout that the method is used with when the user names none."""
        if not has_lm_head:
            return "head"
        return "mask" if kind == "encoder" else "text"

    def pooling(self, kind: BackboneKind) -> Pooling | None:
        """Where a linear head reads the states when the user names no place; None leaves it to the readout.

        It has no part where a task's rows are read in their own tokens.
        """
        return None

    def refusal(self, anatomy: Anatomy) -> str | None:
        """Why the method cannot serve a backbone, in a clause that goes on after a colon; None where it can."""
        return anatomy.lacks.get(self.site)

    def trains(self) -> bool:
        """Whether there is anything to train besides a head."""
        return self.site != "none"

    def in_use(self) -> dict[str, JsonValue]:
        """The options that have a part in the prompt, as JSON values: none that is empty or that another rules out."""
        options = self.model_dump(mode="json")

        def counts(name: str) -> bool:
            if name not in self.needs:
                return True
            other, values = self.needs[name]
            value = options.get(other)  # one that is left out of files is no key of theirs
            return counts(other) and (bool(value) if values is True else value in values)

        return {name: value for name, value in options.items() if value not in (None, []) and counts(name)}

    def found(self) -> frozenset[str]:
        """Tensors beside the readout's own that the course finds for it, by name: a prompt file holds them."""
        return frozenset()

    def continues(self) -> bool:
        """Whether training goes on from the values that the prompt has, so that it may start from a saved one."""
        return self.course == "fit" and self.trains()

    def couples_rows(self) -> bool:
        """Whether the loss has a term that is no mean over rows, so that a batch cannot be learned from in parts."""
        return False

    def starts(self) -> tuple[str, ...]:
        """Folders of the saved prompts that the first values come from: their rows count as the new prompt's own."""
        return ()


if TYPE_CHECKING:
    Setting = BuildContext
else:

    def __getattr__(name: str) -> object:
        return old_name(__name__, name)
