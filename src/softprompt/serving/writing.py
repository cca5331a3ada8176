"""One text that is being written: how its next token is chosen, what of it may be shown, and when it ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from softprompt.errors import SoftPromptError
from softprompt.serving.served import Served
from softprompt.serving.spelling import Spelling

Ended: TypeAlias = Literal["stop", "length"]


@dataclass(frozen=True)
class Wishes:
    """How a text is to be written.

    Attributes:
        most: tokens at most.
        temperature: divides the logits before a token is drawn; 0 takes the likeliest.
        top_p: of the likeliest tokens, those are drawn from that first reach this probability together (nucleus
            sampling: Holtzman et al., ICLR 2020, <https://arxiv.org/abs/1904.09751>).
        seed: of the draws; by default the text's own.
        stop: texts before which it ends.
    """

    most: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(eq=False)
class Writing:
    """A text in the making.

    Attributes:
        served: the prompt, which it is a user of until it has ended.
        ids: of the text that it goes on with; `-1 - j` stands for the virtual token of rank j.
        wishes: how it is written.
        tokenizer: of the backbone.
        ends: ids that end it, and are no part of it.
        lead: ids that are no part of it, and end nothing.
        bare: whether spaces around it are left out.
        made: the ids so far, its end among them.
        ended: why, once it has.
        fault: what broke it off, if anything did.
    """

    served: Served
    ids: tuple[int, ...]
    wishes: Wishes
    tokenizer: PreTrainedTokenizerBase
    ends: frozenset[int]
    lead: frozenset[int] = frozenset()
    bare: bool = False
    made: list[int] = field(default_factory=list)
    ended: Ended | None = None
    fault: SoftPromptError | None = None
    _text: str = ""
    _shown: int = 0
    _generator: torch.Generator | None = None
    _spelling: Spelling = field(init=False)

    def __post_init__(self) -> None:
        """Say nothing yet."""
        self._spelling = Spelling(self.tokenizer)

    @property
    def placed(self) -> bool:
        """Whether the template placed the virtual tokens."""
        return any(one < 0 for one in self.ids)

    @property
    def cost(self) -> int:
        """Columns that it takes until it has ended, virtual tokens among them."""
        footprint = self.served.prompt.producer.footprint
        return footprint.count + footprint.prefix + len(self.ids) + self.wishes.most

    @property
    def task(self) -> str:
        """Who is to be served fairly: the prompt."""
        return self.served.name

    @property
    def text(self) -> str:
        """All that it says so far."""
        return self._text

    def choose(self, logits: Tensor) -> int:
        """The next token.

        Args:
            logits: of the vocabulary, `(V,)`.
        """
        wishes = self.wishes
        if wishes.temperature == 0:
            return int(logits.argmax())
        if self._generator is None:
            self._generator = torch.Generator(device="cpu")
            _ = self._generator.seed() if wishes.seed is None else self._generator.manual_seed(wishes.seed)
        chances = (logits.float().cpu() / wishes.temperature).softmax(-1)
        if wishes.top_p < 1:
            chances = nucleus(chances, wishes.top_p)
        return int(torch.multinomial(chances, 1, generator=self._generator))

    def take(self, token: int) -> None:
        """Go on with a token, and see whether it is the last one."""
        self.made.append(token)
        if token in self.ends:
            self.ended = "stop"
        elif len(self.made) >= self.wishes.most:
            self.ended = "length"
        spelling, known = self._spelling, len(self._spelling.settled)
        if token not in self.ends and token not in self.lead:
            spelling.add(token)
        text = spelling.whole() if self.ended else spelling.text
        fresh = len(text) - known  # characters at the end of which none was settled before
        self._text = text.lstrip() if self.bare else text
        # What stops it may begin before them.
        starts = (max(0, len(self._text) - fresh - len(one) + 1) for one in self.wishes.stop)
        found = [self._text.find(one, start) for one, start in zip(self.wishes.stop, starts, strict=True)]
        places = [place for place in found if place >= 0]
        if places:
            self._text, self.ended = self._text[: min(places)], "stop"
        if self.ended and self.bare:
            self._text = self._text.rstrip()

    def break_off(self) -> None:
        """End it with a fault of its own, where the model's scores are no numbers: those beside it go on."""
        self.fault = SoftPromptError(
            f"model {self.task!r}: the scores of its next token are not finite, so nothing can be written: load the "
            "backbone with dtype float32, or train the prompt again"
        )
        self.ended = "stop"

    def news(self) -> str:
        """What may be shown that was not: nothing that a later token could change or take back."""
        text = self._text
        if self.ended is None:
            text = self._spelling.settled
            text = text.lstrip() if self.bare else text
            text = text[: len(text) - _open(text, self.wishes.stop)]
            text = text.rstrip() if self.bare else text
        found, self._shown = text[self._shown :], max(self._shown, len(text))
        return found


def nucleus(chances: Tensor, top_p: float) -> Tensor:
    """Probabilities `(V,)` without those behind the first that reach `top_p` together, which stay as they are."""
    ordered, order = chances.sort(descending=True)
    before = ordered.cumsum(-1) - ordered
    return torch.zeros_like(chances).scatter(0, order, ordered.masked_fill(before >= top_p, 0.0))


def _open(text: str, stop: tuple[str, ...]) -> int:
    """How many characters at a text's end may be the beginning of what stops it."""
    lengths = (
        length for one in stop for length in range(1, min(len(one), len(text) + 1)) if text.endswith(one[:length])
    )
    return max(lengths, default=0)
