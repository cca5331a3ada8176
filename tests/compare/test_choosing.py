"""A choice over planted scores and times: what is measured, dropped or passed over, and a kill changes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

import softprompt as sp
from softprompt.compare import choosing, wanted_choice
from softprompt.compare.choice_record import ChoiceRecord, Tried, read_choice
from softprompt.compare.choosing import Choosing
from softprompt.compare.wanted_choice import WantedChoice
from softprompt.errors import Interrupted, SoftPromptError
from softprompt.evaluation.predictions import PREDICTIONS, Predictions
from softprompt.files.places import CHOICE
from softprompt.progress import Progress
from softprompt.training.options import TrainingOptions

from ..shared.models import model, tokenizer
from ..shared.runs import Listening
from ..shared.runs import task as words_task

DEFAULT = "p_tuning_v2"
FOLD, RUN = 30.0, 50.0  # seconds, where nothing else is said
SECONDS = 60.0


@cache
def words() -> sp.Task:
    return words_task(Path(mkdtemp()), rows=88).reading_once()


@cache
def backbone() -> sp.Backbone:
    return sp.Backbone(model("bert"), tokenizer())


@cache
def shortlisted(max_bytes: int | None) -> Any:
    from softprompt.compare.shortlist import Terms, shortlist

    return shortlist(backbone(), words(), Terms(TrainingOptions(), 70, max_bytes))


@dataclass
class Land:
    """What trains folds in no time: a method answers a share of rows rightly, and the clock moves on.

    Attributes:
        right: shares by method, or by method and rate.
        folds: seconds of a fold by method.
        slower: what a fold takes, of what was expected.
        fail: methods whose runs fail.
        stop_after: so many folds, in the middle of the next of which it is over.
    """

    right: dict[str, float] = field(default_factory=dict)
    folds: dict[str, float] = field(default_factory=dict)
    slower: float = 1.0
    fail: tuple[str, ...] = ()
    stop_after: int = 10**6
    stop: type[BaseException] = SystemExit
    now: float = 0.0
    done: list[str] = field(default_factory=list)

    def looked(self, wanted: WantedChoice, one: Tried) -> Tried:
        fold = self.folds.get(one.method, FOLD)
        self.now += 1
        return one.model_copy(update={"fold_seconds": fold, "run_seconds": fold * RUN / FOLD})

    def train(self, own: Any, task: Any, method: Any, options: Any, *, seed: int, output: Path, **_: Any) -> None:
        if len(self.done) == self.stop_after:
            raise self.stop("killed")
        self.done.append(output.name)
        self.now += self.slower * self.folds.get(method.name, FOLD)
        if method.name in self.fail:
            raise SoftPromptError("the loss is not finite")
        share = self.right.get(f"{method.name} {options.learning_rate}", self.right.get(method.name, 0.5))
        rows = task.splits(seed).test
        hits = [int(hashlib.sha256(row.fields["text"].encode()).hexdigest(), 16) % 1000 < 1000 * share for row in rows]
        given = [row.label if hit else 1 - row.label for row, hit in zip(rows, hits, strict=True)]
        labels = [row.label for row in rows]
        told = Predictions(kind="classification", labels=task.labels, label=tuple(labels), prediction=tuple(given))
        output.mkdir()
        told.write(output / PREDICTIONS)


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., ChoiceRecord]]:
    """A choice in a land; `minutes` are 30 unless told otherwise."""
    monkeypatch.setattr(wanted_choice, "shortlist", lambda _, __, asked: shortlisted(asked.max_bytes))

    def begin(land: Land, folder: str = "auto", show: Any = None, **changes: Any) -> ChoiceRecord:
        monkeypatch.setattr(choosing, "train", land.train)
        monkeypatch.setattr(WantedChoice, "looked", lambda wanted, one: land.looked(wanted, one))
        monkeypatch.setattr("softprompt.compare.choosing.time.monotonic", lambda: land.now)
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        plain = WantedChoice(backbone(), words(), TrainingOptions(), 3, place, minutes=30, max_bytes=None)
        return Choosing(replace(plain, **changes), show or Progress(False)).run()

    yield begin
    monkeypatch.undo()


def states(record: ChoiceRecord) -> dict[str, str]:
    return {one.label: one.state for one in record.tried}


def test_the_best_is_taken_and_who_is_clearly_behind_is_dropped_early(choose: Any) -> None:
    land = Land({"capt": 0.95, "head_only": 0.6, DEFAULT: 0.7})
    record = choose(land)
    assert record.chosen.method == "capt"
    assert states(record)[DEFAULT] == "measured"  # the first has nobody to be behind of
    dropped = [one for one in record.tried if one.state == "dropped"]
    assert {"deep_prompt", "prompt_tuning"} <= {one.method for one in dropped}
    assert all(0 < len(one.scores) < record.folds and " folds behind " in one.why for one in dropped)
    assert len(land.done) == sum(len(one.scores) for one in record.tried)
    assert record.why.startswith("capt is taken: its 0.9")
    assert record.chosen.why == "taken"


def test_scores_are_of_rows_that_no_run_had(choose: Any) -> None:
    """Each row to train and choose on is held out once, and no test row is."""
    land = Land({"capt": 0.95})
    record = choose(land)
    splits = words().splits(3)
    pool = [*splits.train, *splits.validation]
    hits = [int(hashlib.sha256(row.fields["text"].encode()).hexdigest(), 16) % 1000 < 950 for row in pool]
    assert record.folds == 4
    assert record.chosen.score == pytest.approx(sum(hits) / len(hits))


def test_of_those_that_cannot_be_told_apart_the_smallest_is_taken(choose: Any) -> None:
    record = choose(Land(dict.fromkeys((DEFAULT, "head_only", "bitfit", "capt"), 0.8)))
    assert record.chosen.method == "head_only"
    assert record.chosen.stored_bytes == min(one.stored_bytes for one in record.tried)
    assert "cannot be told from" in record.why
    assert "fewest bytes" in record.why


def test_the_one_that_leads_is_tried_with_other_rates(choose: Any) -> None:
    known = 0.03  # CaPT's
    record = choose(Land({"capt": 0.8, f"capt {known * 3}": 1.0}))
    assert [one.label for one in record.tried[-2:]] == ["capt,learning_rate=0.01", "capt,learning_rate=0.09"]
    assert record.chosen.label == "capt,learning_rate=0.09"
    same = choose(Land({"capt": 0.8, f"capt {known * 3}": 0.81}), "same")
    assert same.chosen.label == "capt"
    head = choose(Land({"head_only": 0.9}), "head")
    assert head.chosen.label == "head_only"
    assert not any("learning_rate" in one.training_options for one in head.tried)


@pytest.mark.parametrize("minutes", [2, 4, 6.5, 11, 21])
@pytest.mark.parametrize("slower", [0.4, 1.0])
def test_the_time_is_enough_for_the_choice_and_the_run(choose: Any, minutes: float, slower: float) -> None:
    """Where folds take what was expected, or less: of any method the run takes as long as was expected."""
    land = Land({"capt": 0.8, DEFAULT: 0.7}, {DEFAULT: 70, "prompt_tuning": 55}, slower=slower)
    record = choose(land, minutes=minutes)
    run = record.chosen.run_seconds
    assert run is not None
    assert land.now + run <= SECONDS * minutes
    assert record.seconds == pytest.approx(land.now)
    assert all(one.why for one in record.tried if one.state != "open")
    assert ("late" in states(record).values()) <= (minutes < 21)


def test_a_slow_machine_stops_the_choice_in_time_for_the_run(choose: Any) -> None:
    land = Land({"capt": 0.8}, slower=3)
    record = choose(land, minutes=10)
    assert land.now + RUN <= 10 * SECONDS + 3 * FOLD  # no more than the fold in hand was too much
    assert "late" in states(record).values()


def test_a_long_one_waits_and_a_shorter_one_behind_it_still_fits(choose: Any) -> None:
    land = Land({"capt": 0.8}, {DEFAULT: 100})
    record = choose(land, minutes=9)
    assert states(record)[DEFAULT] == "late"
    assert states(record)["head_only"] == "measured"
    assert record.tried[0].why.startswith("it needs about 9")
    assert choose(Land({"capt": 0.8}, {DEFAULT: 100}), "long", minutes=30).tried[0].state == "measured"


def test_too_little_time_for_two_leaves_the_order_and_says_so(choose: Any) -> None:
    land = Land()
    record = choose(land, minutes=2.5)
    assert (record.chosen.method, land.done) == (DEFAULT, [])
    assert record.why == (
        f"{DEFAULT} is taken unmeasured, since 2.5 minutes are too few to measure two methods: the default for "
        "masked language models, as published for BERT and RoBERTa; not measured here"
    )
    short = choose(Land(folds={DEFAULT: 90}), "short", minutes=2)
    assert short.chosen.method == "head_only"
    with pytest.raises(SoftPromptError, match=r"no time for any method: the shortest run, that of p_tuning_v2, takes"):
        choose(Land(), "none", minutes=0.5)


def test_where_one_comes_into_question_or_none_there_is_no_choice(choose: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    entries, left = shortlisted(None)
    with monkeypatch.context() as one:
        one.setattr(wanted_choice, "shortlist", lambda *_: (entries[1:2], left))
        record = choose(Land())
    assert record.chosen.method == "head_only"
    assert "since no other method comes into question" in record.why
    least = min(one.stored_bytes for one in shortlisted(9)[1] if one.stored_bytes)
    with pytest.raises(
        SoftPromptError, match=rf"^max_bytes is 9, and no method stores so little: the least is {least},"
    ):
        choose(Land(), "none", max_bytes=9)


def test_a_method_that_fails_is_told_and_the_others_go_on(choose: Any) -> None:
    heard = Listening()
    record = choose(Land({"capt": 0.9}, fail=(DEFAULT, "head_only")), show=heard)
    assert record.chosen.method == "capt"
    assert states(record)[DEFAULT] == "failed"
    assert f"{DEFAULT}: the loss is not finite" in heard.lines


def test_a_kill_anywhere_changes_nothing(choose: Any, tmp_path: Path) -> None:
    shares = {"capt": 0.9, DEFAULT: 0.75, "capt 1.5": 0.97}
    straight_land = Land(shares)
    straight = choose(straight_land, "straight")
    last = len(straight_land.done) - 1
    for after, stop in ((0, SystemExit), (5, KeyboardInterrupt), (last, SystemExit)):
        folder, land = f"{stop.__name__}-{after}", Land(shares, stop_after=after, stop=stop)
        with pytest.raises(Interrupted if stop is KeyboardInterrupt else SystemExit):
            choose(land, folder)
        again = Land(shares, now=land.now)
        resumed = choose(again, folder)
        assert [*land.done, *again.done] == straight_land.done
        assert resumed.model_dump(exclude={"seconds"}) == straight.model_dump(exclude={"seconds"})
        third = choose(Land(stop_after=0), folder)
        assert third == resumed == read_choice(tmp_path / folder)


def test_another_choice_is_refused_and_more_time_is_not(choose: Any) -> None:
    with pytest.raises(SystemExit):
        choose(Land(stop_after=2), minutes=10)
    with pytest.raises(SoftPromptError, match=r"another max_bytes \(None then, 500 now\)"):
        choose(Land(), max_bytes=500)
    with pytest.raises(SoftPromptError, match=r"another seed \(3 then, 4 now\)"):
        choose(Land(), seed=4)
    assert choose(Land(), minutes=60).minutes == 60


def test_a_damaged_record_is_a_line(choose: Any, tmp_path: Path) -> None:
    record = choose(Land())
    path = tmp_path / "auto" / CHOICE
    text = path.read_text()
    for before, after, told in (
        ('"taken": ', '"taken": 7', "taken: there are"),
        ('"state": "measured"', '"state": "good"', "state"),
        ('"seconds"', '"secnds"', "secnds"),
        ("{", "", "JSON"),
    ):
        path.write_text(text.replace(before, after, 1))
        with pytest.raises(SoftPromptError, match=told) as refused:
            choose(Land())
        assert str(path) in str(refused.value)
    path.write_text(text)
    assert choose(Land()) == record


def test_rows_that_have_no_folds_leave_the_order(choose: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    few = words().with_data([{"text": f"w{place}", "label": str(place % 2)} for place in range(10)])
    record = choose(Land(), task=few)
    assert record.chosen.method == DEFAULT
    assert "are too few for 4 folds" in record.why


def test_answers_that_are_gone_are_told(choose: Any, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        choose(Land({DEFAULT: 0.9}, stop_after=5))
    (gone,) = (tmp_path / "auto").glob("00-*-2of4")
    (gone / PREDICTIONS).unlink()
    with pytest.raises(SoftPromptError, match="2of4"):
        choose(Land())


def test_progress_tells_what_is_left(choose: Any) -> None:
    notes: list[str] = []

    class Watching(Listening):
        def work(self, name: str, total: int, unit: str) -> Any:
            from contextlib import nullcontext

            return nullcontext(lambda done=1, note=None, total=None: notes.append(note))

    choose(Land({"capt": 0.9}), show=Watching())
    assert any("capt: 3 of 4, about " in note and note.endswith(" left") for note in notes)
