"""The search for layers: its steps, what it stores, and that it resumes to the same bytes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from softprompt.errors import SoftPromptError
from softprompt.methods import SPT, CaPT, DeepPrompt, PTuningV2
from softprompt.methods.parts.gated import Gated
from softprompt.methods.parts.gates import kept_layers
from softprompt.methods.parts.layers import OverLayers
from softprompt.readouts import Item
from softprompt.tasks import Task
from softprompt.tasks.rows import Row
from softprompt.training.courses.layer_search import SearchTrainer, as_bars, consistency, halves, schedule, settled
from softprompt.training.fitting import stage
from softprompt.training.fitting.frozen_states import keep_pooled
from softprompt.training.run import Interrupted, Run, open_run, train

from ...shared.models import LAYERS, model, tokenizer
from ...shared.prompts import close
from ...shared.runs import PROMPT, Interrupting, run, task

SMALL: dict[str, Any] = {"num_virtual_tokens": 2, "bottleneck": 6}
SEARCHED: dict[str, OverLayers] = {
    "spt": SPT(select="learned:2", **SMALL),
    "spt_add": SPT(select="learned:open", combine="add", gate="concrete", consistency="mse", **SMALL),
    "capt": CaPT(select="learned:1", gate="ratio"),
    "deep_prompt": DeepPrompt(select="learned:2", num_virtual_tokens=2, gate="threshold", consistency="none"),
    "p_tuning_v2": PTuningV2(select="learned:2", num_virtual_tokens=2),
}


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Every consistency term of a search."""
    found: list[float] = []
    own = SearchTrainer._consistency

    def spy(self: Any, batch: Any) -> Tensor:
        term = own(self, batch)
        found.append(float(term.detach()))
        assert self.gated.given is None
        return term

    monkeypatch.setattr(SearchTrainer, "_consistency", spy)
    return found


@pytest.mark.parametrize("kind", ["kl", "mse"])
@pytest.mark.parametrize(("family", "readout"), [("llama", "text"), ("bert", "head"), ("t5", "text")])
def test_equal_networks_agree(
    family: str, readout: str, kind: Any, seen: list[float], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    method = SPT(select="learned:1", consistency=kind, **{**SMALL, "dropout": 0.0})
    run(tmp_path / "a", family, method, readout=readout, max_steps=8)
    assert len(seen) == 8
    assert min(seen) >= 0
    assert max(seen) > 0
    seen.clear()
    mask = torch.tensor([0.0, 1.0, 1.0])
    monkeypatch.setattr(Gated, "draw_pair", lambda self: (mask, mask))
    run(tmp_path / "b", family, method, readout=readout, max_steps=8)
    assert seen == [0.0] * 8


def test_each_step_moves_one_level(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Bit-equal: a step of the prompt leaves the gates, a step of the gates all the rest."""
    states: list[dict[str, Tensor]] = []
    groups: list[list[dict[str, Any]]] = []
    own = SearchTrainer.after_step

    def spy(self: Any) -> None:
        own(self)
        parameters = {**dict(self.gated.named_parameters()), **dict(self.trained.readout.named_parameters())}
        states.append({name: value.detach().clone() for name, value in parameters.items()})
        groups.append(self.optimizer.param_groups)

    monkeypatch.setattr(SearchTrainer, "after_step", spy)
    # Maps up that start at zero stay there while their gates are shut.
    method = SPT(select="learned:1", init="linear", gate_learning_rate=0.07, **SMALL)
    run(tmp_path, "bert", method, readout="head", weight_decay=0.5, schedule="constant", warmup_ratio=0.0)
    assert len(states) == 10
    for step, (before, after) in enumerate(zip(states, states[1:], strict=False), start=1):
        moved = {name for name in before if not torch.equal(before[name], after[name])}
        if step % 2:
            assert moved == {"gates.logits"}
        else:
            assert moved == set(before) - {"gates.logits"}
    gates = groups[0][-1]
    assert [p.shape for p in gates["params"]] == [(LAYERS,)]
    assert (gates["lr"], gates["weight_decay"]) == (0.07, 0.0)
    assert sum(len(group["params"]) for group in groups[0]) == len(states[0])
    assert groups[0][0]["weight_decay"] == 0.5


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor"])
def test_gates_that_nothing_pulls_at_stay(optimizer: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No decay moves them."""

    def none(self: Any) -> Tensor:
        return torch.ones(LAYERS) + 0.0 * self.logits

    monkeypatch.setattr("softprompt.methods.parts.gates.Gates.values", lambda self, limit=None: none(self))
    done = run(tmp_path, "llama", SEARCHED["spt"], weight_decay=0.5, optimizer=optimizer)
    assert done.metrics["gates"] == [0.5] * LAYERS


def test_rows_that_come_again_are_computed_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A head starts from the frozen states of its rows; a search's schedule names each row many times."""
    counts: list[int] = []

    def spy(prompted: Any, head: Any, items: Any, **options: Any) -> Any:
        counts.append(len(items))
        return keep_pooled(prompted, head, items, **options)

    monkeypatch.setattr(stage, "keep_pooled", spy)
    run(tmp_path, "bert", SPT(select="learned:1", search_share=4.0, **SMALL), readout="head")
    rows = len(task(tmp_path / "data").splits(3).train)
    assert counts == [rows, rows]  # of the search, 40 turns of two batches of 4, and of the training


@pytest.mark.parametrize("name", list(SEARCHED))
def test_a_search_stores_the_layers_it_keeps(name: str, tmp_path: Path) -> None:
    method, family = SEARCHED[name], {"capt": "bert", "deep_prompt": "t5"}.get(name, "llama")
    done = run(tmp_path, family, method)
    told, stored = done.metrics, json.loads((tmp_path / "run" / "prompt" / "prompt.json").read_text())
    kept = told["kept_layers"]
    assert kept == sorted(set(kept))
    assert set(kept) <= set(range(LAYERS))
    if method.selection.count is not None:
        assert len(kept) == method.selection.count
    assert kept == list(kept_layers(told["gates"], method.selection.limit(LAYERS)))
    assert stored["options"]["select"] == done.prompt.method.select == ",".join(map(str, kept))
    turns = [point["gates"] for point in told["history"] if "gates" in point]
    assert len(turns) == 5  # half of ten steps
    assert told["gates"] == pytest.approx(settled(turns), abs=1e-4)
    assert {point["stage"] for point in told["history"]} == {"search", "training"}
    own = done.prompt.producer
    assert told["trained_parameters"] == sum(p.numel() for p in own.parameters())
    assert not any("gates" in name for name, _ in own.named_parameters())
    again = open_run(tmp_path / "run", model(family), tokenizer())
    texts = ["w20 w41", "w30 w41 w42 w43"]
    for one, other in zip(done.prompt.outcomes(texts), again.prompt.outcomes(texts), strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-6)


def test_what_is_stored_is_drawn_anew_and_trained_as_if_the_layers_had_been_named(tmp_path: Path) -> None:
    method = SPT(select="learned:2", **{**SMALL, "dropout": 0.0})
    searched = run(tmp_path / "a", "llama", method)
    named = run(tmp_path / "b", "llama", method.model_copy(update={"select": searched.prompt.method.select}))
    for name, tensor in named.prompt.producer.stored().items():
        assert torch.equal(tensor, searched.prompt.producer.stored()[name])
    assert named.metrics["kept_layers"] == searched.metrics["kept_layers"]
    assert "gates" not in named.metrics


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A search that nothing stops."""
    return run(tmp_path_factory.mktemp("straight"), "llama", SEARCHED["spt"])


@pytest.mark.parametrize("at", [1, 2, 5, 9, 10, 13])
def test_a_search_resumes_to_the_same_bytes(at: int, straight: Run, tmp_path: Path) -> None:
    """Ten steps of search and ten of training; dropout, gates and masks draw from checkpointed states."""
    with pytest.raises(Interrupted, match="resume"):
        run(tmp_path, "llama", SEARCHED["spt"], progress=Interrupting(at))
    resumed = run(tmp_path, "llama", SEARCHED["spt"], resume=True)
    assert (straight.folder.parent / PROMPT).read_bytes() == (tmp_path / PROMPT).read_bytes()
    for told in ("gates", "kept_layers", "history", "test", "validation"):
        assert straight.metrics[told] == resumed.metrics[told]


@pytest.mark.parametrize("name", ["capt", "deep_prompt", "p_tuning_v2", "spt_add"])
def test_any_search_resumes_to_the_same_bytes(name: str, tmp_path: Path) -> None:
    family, extra = ("bert", {"readout": "head"}) if name in ("capt", "p_tuning_v2") else ("llama", {})
    straight = run(tmp_path / "a", family, SEARCHED[name], **extra)
    for at in (3, 7):  # twice in one search
        with pytest.raises(Interrupted, match="resume"):
            run(tmp_path / "b", family, SEARCHED[name], progress=Interrupting(at), resume=at == 7, **extra)
    resumed = run(tmp_path / "b", family, SEARCHED[name], resume=True, **extra)
    assert (tmp_path / "a" / PROMPT).read_bytes() == (tmp_path / "b" / PROMPT).read_bytes()
    assert straight.metrics["gates"] == resumed.metrics["gates"]


def test_random_layers_follow_the_seed_and_are_stored_as_numbers(tmp_path: Path) -> None:
    found = {}
    for seed in range(5):
        done = train(
            model("llama"), tokenizer(), task(tmp_path / "data"), DeepPrompt(select="random:2"),
            output=tmp_path / str(seed), seed=seed, progress=False, max_steps=1, evaluations=1, learning_rate=0.01,
        )  # fmt: skip
        found[seed] = tuple(done.metrics["kept_layers"])
        assert done.prompt.method.select == ",".join(map(str, found[seed]))
        assert done.prompt.producer.table.shape[0] == 2
    assert len(set(found.values())) > 1
    again = run(tmp_path / "again", "llama", DeepPrompt(select="random:2"), max_steps=1)
    assert tuple(again.metrics["kept_layers"]) == found[3]


@pytest.mark.parametrize("select", ["learned:4", "random:4", "3"])
def test_more_layers_than_there_are_is_told_before_training(select: str, tmp_path: Path) -> None:
    with pytest.raises(SoftPromptError, match="the backbone has .*layers"):
        run(tmp_path, "llama", DeepPrompt(select=select))
    assert not list((tmp_path / "run").glob("state/*"))


LINES: dict[str, list[dict[str, Any]]] = {
    "generation": [{"text": f"w{40 + i} w21", "answer": "w10 w11"} for i in range(40)],
    "choice": [{"text": f"w{40 + i}", "choices": ["w10 w20", "w11"], "label": i % 2} for i in range(40)],
    "regression": [{"text": f"w{40 + i} w{30 if i % 2 else 20}", "label": 5.0 * (i % 2)} for i in range(40)],
}
KINDS: dict[str, dict[str, Any]] = {
    "generation": {"template": "{text} {mask}", "metric": "exact_match", "columns": {"label": ["answer"]}},
    "choice": {"template": "{text} {choice}"},
    "regression": {"template": "{text} {mask}", "bounds": (0, 5), "metric": "pearson"},
}


@pytest.mark.parametrize("method", ["spt", "p_tuning_v2"])
@pytest.mark.parametrize(
    ("kind", "family", "readout"),
    [
        ("generation", "llama", "text"),
        ("generation", "t5", "text"),
        ("choice", "llama", "text"),
        ("choice", "bert", "head"),
        ("regression", "llama", "text"),
        ("regression", "t5", "head"),
    ],
)
def test_every_kind_of_task_is_searched(
    kind: Any, family: str, readout: str, method: str, seen: list[float], tmp_path: Path
) -> None:
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES[kind]))
    words = {"labels": {"0": "w10", "5": "w11"}} if (kind, readout) == ("regression", "text") else {}
    own = Task(kind=kind, **KINDS[kind], **words).with_data(tmp_path / "rows.jsonl")
    done = train(
        model(family), tokenizer(), own, SEARCHED[method], output=tmp_path / "run", progress=False, max_steps=4,
        evaluations=1, batch_size=4, learning_rate=0.01, readout=readout, max_new_tokens=3,
    )  # fmt: skip
    assert len(done.metrics["kept_layers"]) == 2
    assert all(0 < gate < 1 for gate in done.metrics["gates"])
    assert len(seen) == 4
    assert torch.tensor(seen).isfinite().all()
    assert max(seen) > 0


def items(counts: dict[Any, int]) -> list[Item]:
    return [
        Item((), (), label, Row({"n": f"{label}/{index}"}, 0))
        for label, count in counts.items()
        for index in range(count)
    ]


def names(rows: list[Item]) -> list[str]:
    return [item.row.fields["n"] for item in rows]


def test_halves_have_as_many_of_each_class_and_nothing_in_common() -> None:
    rows = items({0: 16, 1: 31, 2: 40})
    first, second = halves(rows, 5)
    assert Counter(item.label for item in first) == {0: 8, 1: 15, 2: 20}
    assert Counter(item.label for item in second) == {0: 8, 1: 16, 2: 20}
    assert sorted(names(first) + names(second)) == sorted(names(rows))
    assert [names(half) for half in halves(rows, 5)] == [names(first), names(second)]
    assert names(halves(rows, 6)[0]) != names(first)


def test_a_half_that_would_be_too_small_is_all_rows() -> None:
    rows = items({0: 15, 1: 400})
    assert [names(half) for half in halves(rows, 5)] == [names(rows)] * 2
    numbers = items({0.25: 9, 0.75: 7})  # of a regression: no classes
    assert [len(half) for half in halves(numbers, 5)] == [8, 8]


def test_the_schedule_takes_turns_and_goes_through_each_half_again_and_again() -> None:
    first, second = halves(items({0: 16, 1: 16}), 5)
    order = schedule((first, second), 7, 6, 5)
    assert len(order) == 2 * 7 * 6
    batches = [names(order[start : start + 6]) for start in range(0, len(order), 6)]
    for turn, batch in enumerate(batches):
        assert set(batch) <= set(names((first, second)[turn % 2]))
    for level, half in enumerate((first, second)):
        stream = [name for batch in batches[level::2] for name in batch]
        assert sorted(stream[:16]) == sorted(stream[16:32]) == sorted(names(half))
        assert stream[:16] != stream[16:32]
    assert names(schedule((first, second), 7, 6, 5)) == names(order)


def test_the_last_quarter_settles_the_gates() -> None:
    course = [[0.1, 0.9]] * 6 + [[0.6, 0.2], [0.8, 0.4]]
    assert settled(course) == pytest.approx([0.7, 0.3])
    assert settled([[0.3, 0.4]]) == [0.3, 0.4]
    assert as_bars([0.0, 0.5, 1.0]) == "gates ▁▅█ 1/3 over a half"


def test_consistency_is_the_mean_of_both_divergences() -> None:
    one, other = (torch.randn(5, 3).log_softmax(-1) for _ in range(2))
    assert float(consistency(one, one, "kl")) == 0.0
    assert float(consistency(one, one, "mse")) == 0.0
    divergence = torch.nn.functional.kl_div
    both = divergence(other, one.exp(), reduction="batchmean") + divergence(one, other.exp(), reduction="batchmean")
    close(consistency(one, other, "kl"), both / 2, 1e-6)
    close(consistency(other, one, "kl"), consistency(one, other, "kl"), 1e-6)
    close(consistency(one, other, "mse"), torch.nn.functional.mse_loss(one, other), 1e-6)
