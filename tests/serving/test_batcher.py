"""The model's thread outlives whatever fails in it: all who wait are told, and who comes then is answered."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from softprompt.serving.batcher import Batcher
from softprompt.serving.engine import Engine
from softprompt.serving.jobs import Scored, Written, scored, written
from softprompt.serving.options import ServingOptions
from softprompt.serving.writing import Wishes, Writing

from ..shared.served import GENERATION, TEXTS, alone, backbone, put


class Sink(Exception):
    """A fault that nothing foresees."""


class Unseen(BaseException):
    """One that is not even of the kind that is caught."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("batcher") / "prompts"
    put(found, "writes", "llama", "prompt_tuning", {"num_virtual_tokens": 3}, 1, **GENERATION,
        wishes={"max_new_tokens": 9})  # fmt: skip
    put(found, "writes_too", "llama", "prompt_tuning", {"num_virtual_tokens": 2}, 2, **GENERATION,
        wishes={"max_new_tokens": 9})  # fmt: skip
    put(found, "labels", "llama", "prompt_tuning", {"num_virtual_tokens": 2}, 3)
    return found


@contextmanager
def batching(root: Path, watcher: Any = None) -> Iterator[tuple[Engine, Batcher]]:
    """An engine and its thread; at the end nothing is left of either, and nobody uses a prompt."""
    with Engine(backbone("llama"), root) as engine:
        engine.look()
        batcher = Batcher(engine, ServingOptions(), watcher)
        yield engine, batcher
        assert batcher.is_alive
        batcher.close()
        assert not batcher._thread.is_alive()
        assert (batcher.waiting, batcher.writing, len(batcher._unanswered)) == (0, 0, 0)
        assert [one.users for one in engine.shelf._loaded.values()] == [0, 0, 0]


def jobs_of(engine: Engine, *, news: Any = None, **wishes: Any) -> list[Scored | Written]:
    """A text of each prompt that writes, and a question."""
    texts = [engine.begin(name, TEXTS[0], Wishes(0, **wishes)) for name in ("writes", "writes_too")]
    (question,) = engine.ask("labels", [TEXTS[0]])
    jobs: list[Scored | Written] = [*(written(one, time.monotonic(), news) for one in texts)]
    jobs.append(scored(question, "answer", time.monotonic()))
    for job, one in zip(jobs, (*texts, question), strict=True):
        job.done.add_done_callback(lambda _, one=one: engine.forget([one]))
    return jobs


def told(jobs: list[Scored | Written]) -> list[str]:
    found = [job.done.result(20) for job in jobs]
    return [one.text if isinstance(one, Writing) else str(one.label) for one in found]


def right(root: Path) -> list[str]:
    return [str(alone(root, name, "llama", TEXTS[:1])[0].label) for name in ("writes", "writes_too", "labels")]


@pytest.mark.parametrize("fault", [Sink, Unseen])
@pytest.mark.parametrize("place", ["drop_cancelled", "_clean", "_gather", "_taken", "_timed", "take"])
def test_a_fault_anywhere_in_the_loop_is_told_to_all_who_wait_and_the_next_are_answered(
    place: str, fault: type[BaseException], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with batching(root) as (engine, batcher):
        owners = {"drop_cancelled": batcher._scribe, "_clean": batcher._scribe, "take": batcher._written}
        owner: Any = owners.get(place, batcher)
        own, left = getattr(owner, place), 3

        def failing(*args: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 2:  # in the midst of its work, and once more
                raise fault("it sinks")
            return own(*args, **options)

        monkeypatch.setattr(owner, place, failing)
        jobs, late = jobs_of(engine), jobs_of(engine)
        batcher.submit(jobs)
        batcher.submit(late)
        outcomes = [job.done.exception(20) for job in (*jobs, *late)]
        assert any("it sinks" in str(one) for one in outcomes)
        assert all(one is None or "it sinks" in str(one) for one in outcomes)
        monkeypatch.undo()
        while batcher._scribe._decoders:  # until the thread has seen its own fault
            time.sleep(0.01)
        again = jobs_of(engine)
        batcher.submit(again)
        assert told(again) == right(root)


def test_a_watcher_that_fails_costs_nobody_an_answer(root: Path) -> None:
    class Blind:
        def passed(self, *_: Any) -> None:
            raise Sink("it sees nothing")

    with batching(root, Blind()) as (engine, batcher):
        jobs = jobs_of(engine)
        batcher.submit(jobs)
        assert told(jobs) == right(root)


def test_who_cannot_be_told_is_no_fault_of_the_others(root: Path) -> None:
    def deaf(_: str) -> None:
        raise Sink("nobody hears")

    with batching(root) as (engine, batcher):
        unheard, jobs = jobs_of(engine, news=deaf), jobs_of(engine)
        batcher.submit([*unheard, *jobs])
        assert told(jobs) == right(root)
        with pytest.raises(Sink):
            unheard[0].done.result(20)


def test_a_text_whose_first_token_cannot_be_chosen_leaves_the_others_and_no_user(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with batching(root) as (engine, batcher):
        going = jobs_of(engine, temperature=1.0, seed=1)
        ended = jobs_of(engine)
        first = ended[0]
        assert isinstance(first, Written)

        def unsure(_: object) -> int:
            raise Sink("no chances")

        monkeypatch.setattr(first.writing, "choose", unsure)
        batcher.submit(ended[:1])
        with pytest.raises(Sink):
            first.done.result(20)
        batcher.submit([*going, *ended[1:]])
        assert told(ended[1:]) == right(root)[1:]
        told(going)
