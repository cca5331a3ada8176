"""AutoPrompt's search: triggers, and label tokens before them; see `softprompt.methods.autoprompt`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from typing import NotRequired, TypedDict, cast

import torch

from softprompt.errors import SoftPromptError
from softprompt.evaluation.score import Scores
from softprompt.guards.tokenizing import tokenise
from softprompt.methods.autoprompt import AutoPrompt, Triggers
from softprompt.methods.parts.vocabulary import readable, word_of
from softprompt.readouts import Item
from softprompt.training.courses.label_tokens import label_tokens
from softprompt.training.courses.registry import course
from softprompt.training.courses.templates import retemplated, row_encoder_of, spliced, template_of
from softprompt.training.courses.work import Work

_PROBES = 2  # training rows with which a text is tokenised to see that its triggers survive


class SearchState(TypedDict):
    """The state of the search, round after round.

    Attributes:
        ids: of the triggers in hand.
        best: of the best that survive as text; None before there are any.
        metrics: of the best on the validation rows.
        history: the evaluations.
        note: what progress shows.
    """

    ids: list[int]
    best: list[int] | None
    metrics: Scores | None
    history: list[dict[str, object]]
    note: NotRequired[str]


@course("autoprompt")
def autoprompt(work: Work) -> None:
    """Search label tokens where asked to, then triggers; leave the best on the validation rows."""
    method = work.method
    assert isinstance(method, AutoPrompt)
    _place(work)
    words: list[list[str]] = []
    if method.label_tokens:
        found = work.once("label-tokens", lambda: label_tokens(work, method.label_tokens))
        work.readout.label_tokens = torch.tensor(found)
        words = [[word_of(token, work.prompted.tokenizer) for token in tokens] for tokens in found]
        work.report["label_tokens"] = dict(zip(work.task.label_values, words, strict=True))
    search = Search(work, method, {word.lower() for answers in words for word in answers})
    start: SearchState = {"ids": list(search.triggers.ids), "best": None, "metrics": None, "history": []}
    for index, state in work.loop("search", method.rounds, start):
        search.round(index, state)
    state = cast("SearchState", work.loop_state("search"))
    best = state["best"]
    if best is None:
        raise SoftPromptError(
            f"no triggers were found that survive as text in template {str(template_of(work.readout))!r}: put "
            "{prompt} where words may stand, with a space around it"
        )
    search.triggers.put(best)
    work.history += state["history"]
    template = spliced(template_of(work.readout), best, work.prompted.tokenizer)
    work.report["trigger"] = {"text": search.text(best), "ids": best, "template": str(template)}


class Search:
    """The rounds of the search over one `Work`.

    Args:
        work: in hand.
        method: its method.
        taken: words that were found for the labels, which no trigger may be.
    """

    def __init__(self, work: Work, method: AutoPrompt, taken: Set[str]) -> None:
        """See the class."""
        self.work, self.method = work, method
        self.tokenizer = work.prompted.tokenizer
        own = work.producer
        assert isinstance(own, Triggers)
        self.triggers = own
        self.forbidden = taken | {word.strip().lower() for word in work.label_words}
        shortest = sorted(work.items, key=lambda item: item.length)
        self.probes = [item for item in shortest if not item.truncated][:_PROBES] or shortest[:1]

    def round(self, index: int, state: SearchState) -> None:
        """Try to change one trigger; `state` is changed in place."""
        # Every round draws from a generator of its own, so a resumed search draws the same.
        generator = torch.Generator().manual_seed(self.work.seed * 1_000_003 + index)
        if index == 0:
            self._keep(0, state)
        ids = state["ids"]
        # Masks and the like are no text: their places are filled first, by the best word even if it is no better.
        blank = [place for place, token in enumerate(ids) if not readable(token, self.tokenizer)]
        open_slots = blank or list(range(len(ids)))
        slot = open_slots[int(torch.randint(len(open_slots), (1,), generator=generator))]
        gradient = self._gradient(ids, slot, self._draw(generator))
        rows = self._draw(generator)
        best, score = ids, None if blank else self._measure(ids, rows)
        for flipped in self._candidates(ids, slot, gradient):
            self.work.check("inside a round")
            found = self._measure(flipped, rows)
            if self.work.better(found, score):
                best, score = flipped, found
        if best != ids:
            state["ids"] = best
            self._keep(index + 1, state)
        state["note"] = f"{self.text(state['ids'])!r}"

    def text(self, ids: Sequence[int]) -> str:
        """The words of token ids."""
        return str(self.tokenizer.decode(list(ids), clean_up_tokenization_spaces=False)).strip()

    def survives(self, ids: Sequence[int]) -> bool:
        """Whether template, triggers and a row, as one text, tokenise to the ids that the model reads."""
        own = row_encoder_of(self.work.readout)
        row_encoder = replace(own, template=spliced(own.template, ids, self.tokenizer), virtual=0)
        for item in self.probes:
            choice = item.row.choices[0] if own.template.has_choice and item.row.choices else None
            plain = row_encoder.encode(item.row, choice=choice)
            if plain.ids != tuple(token if token >= 0 else ids[-1 - token] for token in item.texts[0].ids):
                return False
        return True

    def _keep(self, step: int, state: SearchState) -> None:
        """Look at the validation rows, and keep the triggers if they are text and the best so far."""
        ids = state["ids"]
        self.triggers.put(ids)
        metrics = self.work.measure()
        state["history"].append({"step": step, "trigger": self.text(ids), **metrics})
        plain = all(readable(token, self.tokenizer) for token in ids) and self.survives(ids)
        if plain and self.work.better(metrics, state["metrics"]):
            state["best"], state["metrics"] = list(ids), metrics

    def _candidates(self, ids: list[int], slot: int, gradient: torch.Tensor) -> Iterator[list[int]]:
        """Triggers with another word in a slot, those that the gradient favours first."""
        found = 0
        # Most of a vocabulary's favourites are parts of words, so look further than is wanted.
        for token in self.triggers.flips(gradient, 100 + 50 * self.method.candidates):
            flipped = [*ids[:slot], token, *ids[slot + 1 :]]
            if token == ids[slot] or not self._allowed(token) or not self.survives(flipped):
                continue
            yield flipped
            found += 1
            if found == self.method.candidates:
                return

    def _allowed(self, token: int) -> bool:
        return readable(token, self.tokenizer) and word_of(token, self.tokenizer).lower() not in self.forbidden

    def _gradient(self, ids: Sequence[int], slot: int, items: Sequence[Item]) -> torch.Tensor:
        """dL/de at one trigger, `(E,)`, summed over batches."""
        self.triggers.put(ids)
        rows = self.triggers.rows.requires_grad_(True)
        total = torch.zeros_like(rows[slot])
        for (gradient,) in self.work.gradients([rows], items, batch_size=self.work.plan.batch_size):
            total += gradient[slot]
        return total

    def _measure(self, ids: Sequence[int], items: Sequence[Item]) -> Scores:
        self.triggers.put(ids)
        return self.work.measure(items)

    def _draw(self, generator: torch.Generator) -> list[Item]:
        """Fresh training rows, as many as a round's batches hold; all where there are no more."""
        items, wanted = self.work.items, self.method.search_batches * self.work.plan.batch_size
        order = torch.randperm(len(items), generator=generator)[:wanted]
        return [items[place] for place in order.tolist()]


def _place(work: Work) -> None:
    """Put `{prompt}` in front of a template that has no place for it: text that follows the special tokens."""
    template = template_of(work.readout)
    if template.slots:
        return
    tokenizer = work.prompted.tokenizer

    def ids(text: str) -> list[int]:
        return list(tokenise(tokenizer, text, add_special_tokens=False)["input_ids"])

    # Most tokenizers keep a space with the word after it; some put one before every text by themselves.
    space = " " if ids("a") + ids(" a") == ids("a a") else ""
    work.replace(task=retemplated(work.task, f"{{prompt}}{space}{template}"))
