"""Which layers a method over layers prompts: some by rule, some by number, or those that training keeps.

    all, input, first_half, latter_half, odd     by rule (CaPT's depth ablation, paper figure 6)
    middle                                       the one at half of the layers (where LPT stands)
    first:K, last:K                              K of them from one end
    random:K                                     K drawn with the run's seed
    learned:K, learned                           the K likeliest gates of a search; 8, but at most half of the layers
    learned:open                                 all gates over a half
    0,3,7                                        by number, from 0

`random` and `learned` are settled by training, which puts numbers in their place; a prompt that is attached without a
training stands at every layer. Every control of a learned choice is thus the same method with another word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field, JsonValue, field_validator
from torch import Tensor, nn

from softprompt.errors import SoftPromptError
from softprompt.methods.base import BuildContext, Method, Needs
from softprompt.methods.parts import tables
from softprompt.methods.parts.gates import GateForm
from softprompt.sites.producer import Producer, View

Consistency = Literal["kl", "mse", "none"]
ConsistencyPair = Literal["network", "masks"]
"""The two networks of the search that are to agree: `network`, the gates as they are drawn and the same under a random
mask; `masks`, two random masks in the gates' place."""

_RULES = ("all", "input", "first_half", "latter_half", "odd", "middle", "learned", "learned:open")
_COUNTED = ("first", "last", "random", "learned")
GRAMMAR = (
    "all, input, first_half, latter_half, odd, middle, first:K, last:K, random:K, learned, learned:K, learned:open or "
    "0,3,7"
)


@dataclass(frozen=True)
class LayerSelection:
    """A choice of layers.

    Attributes:
        rule: a word of the module's table, or `numbers`.
        count: K, where the rule has one.
        numbers: the layers, from 0, of the rule `numbers`.
    """

    rule: str
    count: int | None = None
    numbers: tuple[int, ...] = ()

    @property
    def settled(self) -> bool:
        """Whether it names layers without a training."""
        return self.rule != "random" and not self.learned

    @property
    def learned(self) -> bool:
        """Whether a search finds them."""
        return self.rule.startswith("learned")

    def limit(self, num_layers: int) -> int | None:
        """How many layers a search keeps; None for all whose gate is over a half."""
        if self.rule == "learned:open":
            return None
        return usual(num_layers) if self.count is None else self.count

    def of(self, num_layers: int) -> tuple[int, ...]:
        """The layers, ascending, from 0; all where training has to settle them.

        Args:
            num_layers: of the backbone.

        Raises:
            SoftPromptError: more layers than there are, or one that there is not.
        """
        highest = max(self.numbers, default=0)
        if highest >= num_layers:
            raise SoftPromptError(f"the backbone has layers 0 to {num_layers - 1}, but select names layer {highest}")
        if self.count is not None and self.count > num_layers:
            raise SoftPromptError(
                f"the backbone has {num_layers} layers, but select={self}: choose K from 1 to {num_layers}"
            )
        half, count = num_layers // 2, self.count or 0
        chosen = {
            "input": range(1),
            "first_half": range(max(half, 1)),
            "latter_half": range(half, num_layers),
            # The paper counts layers from 1: its odd ones are ours with even numbers.
            "odd": range(0, num_layers, 2),
            "middle": range(half, half + 1),
            "first": range(count),
            "last": range(num_layers - count, num_layers),
            "numbers": self.numbers,
        }
        return tuple(chosen.get(self.rule, range(num_layers)))

    def __str__(self) -> str:
        if self.rule == "numbers":
            return ",".join(str(number) for number in self.numbers)
        return self.rule if self.count is None else f"{self.rule}:{self.count}"


def usual(num_layers: int) -> int:
    """How many layers are kept where nobody says: 8 as in ALoRA's comparison, but at most half of them."""
    return max(1, min(8, num_layers // 2))


def selection(text: str) -> LayerSelection:
    """Read a choice of layers.

    Raises:
        ValueError: it is none of those in the module's table.
    """
    if text in _RULES:
        return LayerSelection(text)
    counted = re.fullmatch(rf"({'|'.join(_COUNTED)}):([0-9]{{1,6}})", text)
    if counted is not None and int(counted[2]) > 0:
        return LayerSelection(counted[1], int(counted[2]))
    if re.fullmatch(r"[0-9]{1,6}(,[0-9]{1,6})*", text):
        numbers = tuple(int(number) for number in text.split(","))
        if list(numbers) == sorted(set(numbers)):
            return LayerSelection("numbers", numbers=numbers)
        raise ValueError("layers stand once each and in ascending order")
    raise ValueError(f"choose from {GRAMMAR}")


class OverLayers(Method):
    """A method with a part for each layer, of which some may be left out; the options of the search for them.

    The search is SPT's (`softprompt.methods.spt`, `softprompt.training.courses.layer_search`).
    """

    course: ClassVar[str] = "layers"
    needs: ClassVar[Needs] = {
        "temperature": ("gate", ("concrete",)),
        "consistency_weight": ("consistency", ("kl", "mse")),
        "consistency_pair": ("consistency", ("kl", "mse")),
    }

    select: str = Field("all", description=f"the layers: {GRAMMAR}")
    gate: GateForm = Field(
        "bernoulli", description="value of a gate in the search: bernoulli, threshold, ratio or concrete"
    )
    temperature: float = Field(1.0, gt=0, description="of gate=concrete")
    gate_learning_rate: float = Field(0.05, gt=0, description="of the gates in the search")
    search_share: float = Field(
        0.5, gt=0, description="turns of the search, a step of each level, as a share of the training's steps"
    )
    consistency: Consistency = Field("kl", description="search: the difference between the outputs of two networks")
    consistency_pair: ConsistencyPair = Field(
        "masks", description="which two: masks, two random masks; network, the gates as drawn and under a random mask"
    )
    consistency_weight: float = Field(1.0, ge=0, description="lambda, what it counts beside the loss")

    @field_validator("select", mode="before")
    @classmethod
    def _read(cls, value: object) -> str:
        """The canonical text; numbers may be given as such."""
        if isinstance(value, int) and not isinstance(value, bool):
            return str(selection(str(value)))
        if isinstance(value, (list, tuple)):
            return str(selection(",".join(str(number) for number in value)))
        return str(selection(value.replace(" ", "") if isinstance(value, str) else repr(value)))

    @property
    def selection(self) -> LayerSelection:
        """The choice of layers, read."""
        return selection(self.select)

    def in_use(self) -> dict[str, JsonValue]:
        """Those of the search only where the layers are searched for."""
        search = set(OverLayers.model_fields) - {"select"}
        return {name: value for name, value in super().in_use().items() if self.selection.learned or name not in search}

    def continues(self) -> bool:
        """Where training settles the layers, it draws the prompt anew."""
        return self.selection.settled


class LayerPrompt(Producer):
    """A prompt at the site `hidden` that may leave layers out; below the lowest its slots hold a neutral start.

    Attributes:
        layers: the prompted layers, ascending.
        start: what the slots hold before any layer has written them, `(1, E)`; no part of the state.
    """

    shift = False
    start: Tensor

    def __init__(self, layers: tuple[int, ...], context: BuildContext) -> None:
        super().__init__()
        self.layers, self.hidden_layers, self.first_layer = layers, frozenset(layers), min(layers)
        self.start = nn.Buffer(tables.neutral(context), persistent=False)

    def embed(self, view: View) -> Tensor:
        """The start, `(P, E)`."""
        return self.start.expand(self.count, -1)
