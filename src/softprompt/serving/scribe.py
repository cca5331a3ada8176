"""The texts that are being written: those of one attached model together, step by step, or each prompt's as a whole."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch

from softprompt.attached.model import PromptedModel
from softprompt.errors import SoftPromptError
from softprompt.inference.batches import to_device
from softprompt.readouts.base import inputs
from softprompt.readouts.free_text import GREEDY, FreeText
from softprompt.serving.decoding import Decoder, can_decode
from softprompt.serving.engine import Engine
from softprompt.serving.jobs import Written, fail, fulfil
from softprompt.serving.writing import Writing
from softprompt.tasks.text.encoding import pad

_LOG = logging.getLogger(__name__)


class Scribe:
    """Writes texts for the batcher, in its thread.

    Attributes:
        jobs: those that are being written.
    """

    def __init__(self, engine: Engine) -> None:
        """Of nothing yet."""
        self.jobs: list[Written] = []
        self._engine = engine
        self._decoders: dict[PromptedModel, Decoder] = {}

    def join(self, new: Sequence[Written]) -> None:
        """Begin some texts; those of a family that cannot be left at any time are written to their end."""
        groups: dict[tuple[PromptedModel, bool], list[Written]] = {}
        for job in new:
            prompted = job.writing.served.alone or self._engine.shelf.prompted
            groups.setdefault((prompted, job.writing.placed), []).append(job)
        for (prompted, _), jobs in groups.items():
            apart = [job for job in jobs if not can_decode(prompted) or _searches(job.writing)]
            self._write_whole(prompted, apart)
            self._begin(prompted, [job for job in jobs if job not in apart])

    def step(self) -> None:
        """One more token for every text that has not ended; those that have are given back."""
        try:
            with self._engine.shelf.lock:
                for decoder in self._decoders.values():
                    decoder.step()
        except Exception:
            self.drop_all()  # nobody knows what their caches hold
            raise
        self._tell()
        self._clean()

    def drop_cancelled(self) -> None:
        """Let texts go that nobody waits for any more."""
        self.jobs = [job for job in self.jobs if not job.done.done()]
        self._clean()

    def drop_all(self) -> None:
        """Let all texts go, whatever state they are in; whoever waits for them is told by whoever calls this."""
        decoders, self._decoders, self.jobs = [*self._decoders.values()], {}, []
        for decoder in decoders:
            self._engine.forget(decoder.rows)

    def _begin(self, prompted: PromptedModel, jobs: Sequence[Written]) -> None:
        if not jobs:
            return
        decoder = self._decoders.get(prompted) or Decoder(prompted, self._engine.filler)
        with self._engine.shelf.lock:
            try:
                decoder.join([job.writing for job in jobs])
            except SoftPromptError as error:
                if len(jobs) == 1:
                    fail(jobs[0], error)
                    return
                for job in jobs:
                    self._begin(prompted, [job])
                return
        self._decoders[prompted] = decoder
        for job in jobs:
            self._engine.shelf.use_again(job.writing.served, 1)  # its prompt stays until its rows have left
        self.jobs += jobs
        self._tell()
        self._clean()

    @torch.inference_mode()
    def _write_whole(self, prompted: PromptedModel, jobs: Sequence[Written]) -> None:
        """Write texts by the model's own `generate`, one prompt's after the other's."""
        for job in jobs:
            one = job.writing
            readout = one.served.prompt.readout
            search = readout.beams.options() if isinstance(readout, FreeText) else {}
            ids, _ = pad([one.ids], self._engine.filler)
            batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
            try:
                if one.wishes.temperature:
                    raise SoftPromptError(
                        f"temperature: model {one.task!r} writes the likeliest text alone: set it to 0"
                    )
                with self._engine.shelf.lock:
                    given = inputs(prompted, to_device(batch, prompted), one.served.slot)
                    made = prompted.generate(
                        **given, max_new_tokens=one.wishes.most, do_sample=False, **search,
                        eos_token_id=sorted(one.ends), pad_token_id=self._engine.filler,
                    )  # fmt: skip
            except SoftPromptError as error:
                fail(job, error)
                continue
            # An encoder-decoder's text begins with the id that its decoder starts from.
            start = 1 if prompted.anatomy.kind == "encoder-decoder" else given["input_ids"].shape[1]
            _take_all(one, made[0, start:].tolist())
            self._tell_one(job)

    def _tell(self) -> None:
        for job in self.jobs:
            self._tell_one(job)

    def _tell_one(self, job: Written) -> None:
        if job.done.done():
            return
        if job.writing.fault is not None:
            fail(job, job.writing.fault)
            return
        news = job.writing.news()
        if news and job.news is not None:
            try:
                job.news(news)
            except Exception as error:  # whoever cannot be told is no fault of the others
                fail(job, error)
                return
        if job.writing.ended is not None:
            fulfil(job, job.writing)

    def _clean(self) -> None:
        """Take out of the caches what has ended."""
        self.jobs = [job for job in self.jobs if not job.done.done()]
        going = {id(job.writing) for job in self.jobs}
        for prompted, decoder in list(self._decoders.items()):
            gone = [one for one in decoder.rows if id(one) not in going]
            decoder.leave(gone)
            self._engine.forget(gone)
            if not decoder.rows:
                del self._decoders[prompted]


def _searches(writing: Writing) -> bool:
    """Whether a text is the likeliest of several beginnings, which stand in a cache together."""
    readout = writing.served.prompt.readout
    return isinstance(readout, FreeText) and readout.beams != GREEDY


def _take_all(writing: Writing, ids: Sequence[int]) -> None:
    """Take a text that was written as a whole."""
    for token in ids:
        if writing.ended is None:
            writing.take(token)
    writing.ended = writing.ended or "stop"
