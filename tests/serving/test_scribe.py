"""Texts in the model's thread: of every family, with and without a task, cancelled, and with their prompt gone."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from softprompt.backbones.fingerprint import fingerprint
from softprompt.errors import SoftPromptError
from softprompt.methods import method
from softprompt.serving.batcher import Batcher, Closing
from softprompt.serving.engine import Engine
from softprompt.serving.jobs import Written, written
from softprompt.serving.options import ServingOptions
from softprompt.serving.writing import Wishes
from softprompt.storage.prompt import Prompt, load, save

from ..shared.models import POSITIONS, model, tokenizer
from ..shared.prompts import producer
from ..shared.served import GENERATION, TEXTS, alone, backbone, put

GREEDY = Wishes(0)


@contextmanager
def writing(root: Path, family: str, **limits: Any) -> Iterator[tuple[Engine, Callable[..., Written]]]:
    """An engine at work, and what lets a text of it wait."""
    with Engine(backbone(family), root) as engine:
        engine.look()
        batcher = Batcher(engine, ServingOptions(**limits))

        def wait(name: str, text: str, wishes: Wishes = GREEDY, most: int | None = None, news: Any = None) -> Written:
            made = engine.begin(name, text, wishes, most)
            job = written(made, time.monotonic(), news)
            job.done.add_done_callback(lambda _: engine.forget([made]))
            batcher.submit([job])
            return job

        yield engine, wait
        batcher.close()
        assert not batcher._thread.is_alive()
        with pytest.raises(Closing):
            batcher.submit([])
        assert all(one.users == 0 for one in engine.shelf._loaded.values())


@pytest.mark.parametrize(("family", "wishes"), [("t5", {}), ("bart", {}), ("llama", {"num_beams": 3})])
def test_what_cannot_be_left_at_any_time_is_written_as_a_whole(family: str, wishes: Any, tmp_path: Path) -> None:
    root = tmp_path / "prompts"
    put(root, "one", family, "prompt_tuning", {"num_virtual_tokens": 3}, 1, **GENERATION,
        wishes={"max_new_tokens": 6, **wishes})  # fmt: skip
    told: list[str] = []
    with writing(root, family) as (_, wait):
        jobs = [wait("one", text) for text in TEXTS]
        drawn = wait("one", TEXTS[0], Wishes(0, temperature=1.0))
        news = wait("one", TEXTS[0], news=told.append)
        right = [one.label for one in alone(root, "one", family, TEXTS)]
        assert [job.done.result(20).text for job in jobs] == right
        assert news.done.result(20).text == "".join(told) == right[0]
        with pytest.raises(SoftPromptError, match="temperature"):
            drawn.done.result(20)


@pytest.mark.parametrize("task", [True, False])
def test_an_answer_has_positions_of_the_decoders_own(task: bool, tmp_path: Path) -> None:
    root, long, chosen = tmp_path / "prompts", " ".join(["w20"] * 55), method("prompt_tuning", num_virtual_tokens=3)
    own = model("bart")
    if task:
        put(root, "one", "bart", "prompt_tuning", {"num_virtual_tokens": 3}, 1, **GENERATION,
            wishes={"max_new_tokens": 6})  # fmt: skip
    else:
        save(
            Prompt(chosen, producer(own, chosen, 3), None, None, None, fingerprint(own), own, tokenizer()), root / "one"
        )
    with Engine(backbone("bart"), root) as engine:
        engine.look()
        made = engine.begin("one", long, GREEDY, 60)
        engine.forget([made])
        assert made.cost > POSITIONS
        with pytest.raises(SoftPromptError, match=f"there is room for {POSITIONS}: lower it"):
            engine.begin("one", long, GREEDY, POSITIONS + 1)
    with writing(root, "bart") as (_, wait):
        assert len(wait("one", long, GREEDY, 60).done.result(60).made) <= 60


def test_a_prompt_without_a_task_goes_on_with_a_text_as_generate_does(tmp_path: Path) -> None:
    root, own = tmp_path / "prompts", model("llama")
    for name in ("prompt_tuning", "capt"):
        chosen = method(name)
        bare = Prompt(chosen, producer(own, chosen, 3), None, None, None, fingerprint(own), own, tokenizer())
        save(bare, root / name)
    with writing(root, "llama") as (engine, wait):
        jobs = {name: wait(name, TEXTS[0], most=7) for name in ("prompt_tuning", "capt")}
        made = {name: job.done.result(20) for name, job in jobs.items()}
        with pytest.raises(SoftPromptError, match="knows no task"):
            engine.ask("capt", ["w20"])
        with pytest.raises(SoftPromptError, match="room for"):
            engine.begin("capt", TEXTS[0], GREEDY, 500)
    for name, one in made.items():
        with load(root / name, backbone("llama")).attach() as prompted:
            batch = prompted.encode(TEXTS[0])
            ids = prompted.generate(**batch, max_new_tokens=7, do_sample=False)[0, batch["input_ids"].shape[1] :]
        assert one.text == tokenizer().decode(ids, skip_special_tokens=True)


def test_who_goes_away_leaves_between_two_steps_and_a_prompt_stays_while_its_text_is_written(tmp_path: Path) -> None:
    root = tmp_path / "prompts"
    for seed, name in enumerate(("kept", "gone")):
        put(root, name, "llama", "capt", {}, seed, **GENERATION, wishes={"max_new_tokens": 40})
    right = alone(root, "gone", "llama", TEXTS[:1])[0].label
    with writing(root, "llama") as (engine, wait):
        steps: list[str] = []
        with engine.shelf.lock:
            first = wait("kept", TEXTS[2], Wishes(0, temperature=1.5, seed=1), news=steps.append)
            second = wait("gone", TEXTS[0], news=steps.append)
            shutil.rmtree(root / "gone")
        engine.look()
        first.done.cancel()
        assert second.done.result(20).text == right
        engine.look()
        assert engine.shelf.names == ["kept"]
    assert len(first.writing.made) < 40


@pytest.mark.parametrize("fault", [SoftPromptError, RuntimeError])
def test_a_text_that_cannot_begin_changes_no_other(
    fault: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, wishes = tmp_path / "prompts", {"max_new_tokens": 9}
    put(root, "good", "llama", "prompt_tuning", {"num_virtual_tokens": 3}, 1, **GENERATION, wishes=wishes)
    placed = {**GENERATION, "template": "{prompt} {text}"}
    put(root, "bad", "llama", "prompt_tuning", {"num_virtual_tokens": 3}, 2, **placed, wishes=wishes)
    put(root, "apart", "llama", "lora", {"rank": 2}, 3, **GENERATION, wishes=wishes)
    right = alone(root, "good", "llama", TEXTS[:1])[0].label

    def refuse(*_: Any) -> Any:
        raise fault("this one fails")

    with writing(root, "llama") as (engine, wait):
        first = threading.Event()
        begun = wait("good", TEXTS[0], news=lambda _: first.set())
        first.wait(20)
        with engine.shelf.lock:
            monkeypatch.setattr(engine.shelf._loaded["bad"].prompt.producer, "embed", refuse)
            assert engine.shelf._loaded["apart"].alone is not None
            monkeypatch.setattr(engine.shelf._loaded["apart"].alone, "calling", refuse)
            jobs = {name: wait(name, TEXTS[0]) for name in ("good", "bad", "apart")}
        for name in ("bad", "apart"):
            with pytest.raises(fault, match="this one fails"):
                jobs[name].done.result(20)
        assert begun.done.result(20).text == right
        if fault is SoftPromptError:  # one of another kind takes those along that would have begun with it
            assert jobs["good"].done.result(20).text == right


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_scores_that_are_no_numbers_end_their_own_text_alone(temperature: float, tmp_path: Path) -> None:
    root = tmp_path / "prompts"
    for name, seed in (("good", 1), ("sick", 2)):
        put(root, name, "llama", "capt", {}, seed, **GENERATION, wishes={"max_new_tokens": 9})
    wishes = Wishes(0, temperature=temperature, seed=1)
    with writing(root, "llama") as (engine, wait):
        right = wait("good", TEXTS[0], wishes).done.result(20).text
        assert wait("sick", TEXTS[0], wishes).done.result(20).text
        with engine.shelf.lock:
            for vector in engine.shelf._loaded["sick"].prompt.producer.parameters():
                vector.data.fill_(float("nan"))
            jobs = {name: wait(name, TEXTS[0], wishes) for name in ("good", "sick")}
        with pytest.raises(SoftPromptError, match="model 'sick': the scores of its next token are not finite"):
            jobs["sick"].done.result(20)
        assert jobs["good"].done.result(20).text == right


def test_texts_wait_until_there_is_room_for_them(tmp_path: Path) -> None:
    root = tmp_path / "prompts"
    put(root, "one", "llama", "prompt_tuning", {"num_virtual_tokens": 3}, 1, **GENERATION, wishes={"max_new_tokens": 6})
    right = [one.label for one in alone(root, "one", "llama", TEXTS)]
    for limits in ({"writing_rows": 2}, {"writing_tokens": 30}, {"writing_tokens": 1}):
        with writing(root, "llama", **limits) as (_, wait):
            assert [job.done.result(20).text for job in [wait("one", text) for text in TEXTS]] == right
