"""An estimate is of the draft that is asked for, one is measured at a time, and who asks no more is passed over."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import softprompt.studio.measuring as measuring
from softprompt.studio.drafts import Draft
from softprompt.studio.estimate import _DRAFT, Estimate
from softprompt.studio.measuring import Measuring

from ..shared.studios import asked, tickets


class Slow:
    """A job that ends when it is told to."""

    def __init__(self, words: Sequence[str]) -> None:
        self.draft = _DRAFT.validate_json(words[1])
        self.state, self.last = "running", ""

    def end(self, said: str | None = None) -> None:
        told = Estimate(method=self.draft.method, steps=7, seconds=self.draft.epochs or 1)
        self.state, self.last = "done", told.model_dump_json() if said is None else said

    def kill(self) -> None:
        self.state = "stopped"

    def wait(self, _: float) -> bool:
        return self.state != "running"


class Begun:
    """Jobs that are begun here, and at most one of which is at work."""

    def __init__(self) -> None:
        self.all: list[Slow] = []

    def begin(self, _: str, commands: Sequence[Sequence[str]]) -> Slow:
        assert all(job.state != "running" for job in self.all)
        self.all.append(Slow(commands[0]))
        return self.all[-1]

    def of(self, _: str) -> Slow | None:
        return self.all[-1] if self.all else None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(measuring.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def drafts(tmp_path: Path) -> list[Draft]:
    """Three that differ in their backbone or method."""
    table = tmp_path / "t.csv"
    table.write_text("a,b\n")
    first = Draft(table, tmp_path / "run", "tiny", "capt", epochs=3)
    return [first, replace(first, method="prompt_tuning"), replace(first, backbone="large")]


def test_each_draft_has_its_own_estimate_and_one_is_measured_at_a_time(drafts: list[Draft], clock: list[float]) -> None:
    jobs = Begun()
    own: Any = jobs
    studio = Measuring(own)
    keys = [studio.want(one) for one in drafts]
    assert len({*keys}) == 3
    for place in range(3):
        assert [studio.of(key) is None for key in keys] == [number >= place for number in range(3)]
        assert len(jobs.all) == place + 1
        jobs.all[-1].end()
        clock[0] += 1
    found = [studio.of(key) for key in keys]
    assert [one.method for one in found if one is not None] == ["capt", "prompt_tuning", "capt"]
    assert [job.draft.backbone for job in jobs.all] == ["tiny", "tiny", "large"]
    again = studio.want(replace(drafts[0], out=Path("other")))  # of another name, which takes as long
    assert (again, len(jobs.all)) == (keys[0], 3)
    os.utime(drafts[0].data, (1, 1))  # another table
    assert studio.want(drafts[0]) != keys[0]


def test_who_asks_no_more_makes_way_and_is_measured_once_it_asks_again(drafts: list[Draft], clock: list[float]) -> None:
    jobs = Begun()
    own: Any = jobs
    studio = Measuring(own)
    first = studio.want(drafts[0])
    clock[0] += 2
    second = studio.want(drafts[1])
    assert [job.state for job in jobs.all] == ["running"]  # it was asked for a moment ago
    clock[0] += 1
    assert studio.of(second) is None
    assert [job.state for job in jobs.all] == ["stopped", "running"]
    jobs.all[-1].end()
    assert studio.of(second) is not None
    assert studio.of(first) is None  # a page that slept
    assert jobs.all[-1].draft == drafts[0]
    clock[0] += 60
    jobs.all[-1].end()
    assert studio.of(first) is not None


def test_what_failed_is_measured_anew_and_what_nobody_began_is_told(drafts: list[Draft], clock: list[float]) -> None:
    jobs = Begun()
    own: Any = jobs
    studio = Measuring(own)
    key = studio.want(drafts[0])
    for said, told in (("Killed", "Killed"), ("", "could not be measured")):
        jobs.all[-1].end(said)
        found = studio.of(key)
        assert found is not None
        assert told in found.fault
        assert studio.want(drafts[0]) == key
        assert studio.of(key) is None
    unknown = studio.of("no such key")
    assert unknown is not None
    assert "was not measured" in unknown.fault


def test_no_more_are_kept_than_a_few(drafts: list[Draft], clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "_KEPT", 2)
    jobs = Begun()
    own: Any = jobs
    studio = Measuring(own)
    for epochs in range(1, 9):
        studio.want(replace(drafts[0], epochs=epochs))
    assert len(studio._waiting) == len(studio._asked) == 3  # the one that is measured, and two
    for _ in range(3):
        jobs.all[-1].end()
        studio.of("")
    assert (len(studio._found), studio._waiting, studio._asked) == (2, {}, {})


def test_a_page_waits_for_the_estimate_of_its_own_draft(tmp_path: Path) -> None:
    tickets(tmp_path / "data" / "tickets.csv")
    with asked(tmp_path) as (studio, client):
        jobs: Any = Begun()
        studio.measuring = Measuring(jobs)
        places = []
        for method in ("capt", "prompt_tuning"):
            draft = {"table": "tickets.csv", "backbone": "tiny", "method": method}
            told = client.post("/train/estimate", data=draft).text
            places += re.findall(r'hx-get="(/train/estimate\?key=\w+)"', told)
        jobs.all[-1].end()
        assert "capt, 7 steps" in client.get(places[0]).text
        assert f'hx-get="{places[1]}"' in client.get(places[1]).text
        jobs.all[-1].end()
        assert "prompt_tuning, 7 steps" in client.get(places[1]).text
        assert "capt, 7 steps" in client.get(places[0]).text
