"""A sample of the sweep over model types, whether its checks can fail at all, and its tables."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
import torch
from benchmarks.sweep import __main__ as program
from benchmarks.sweep import children, pages, results
from benchmarks.sweep.bare import Bare
from benchmarks.sweep.build import ModelType, all_types
from benchmarks.sweep.cases import CASES
from benchmarks.sweep.checks import Checks
from benchmarks.sweep.results import Found
from benchmarks.sweep.verdict import ERROR, HOLDS, REFUSED, UNKNOWN, WRONG, Unknown, Verdict, judged, worst

import softprompt as sp
from softprompt.backbones import anatomy
from softprompt.methods import PrefixTuning, PTuningV2

from .shared.models import model, tokenizer

# What other people's models tell of themselves when they are made or called.
pytestmark = pytest.mark.filterwarnings("ignore")

CLOSED = dict.fromkeys(("p_tuning_v2", "prefix_tuning"), "its attention is not an AttentionInterface function")
NO_ATTENTION = dict.fromkeys(CLOSED, "its layers have no attention whose keys a prefix could join")
# One of each kind of trouble that models make, and the methods that each cannot have, with what the line says.
SAMPLE: dict[str, dict[str, str]] = {
    "masked/bert": {},  # its attention says that it sees all
    "masked/deberta-v2": CLOSED,  # its attention says nothing of it, and is no function that could be another
    "masked/mpnet": CLOSED,  # positions that begin at 2
    "masked/squeezebert": {**NO_ATTENTION, "capt": "no list of layers"},  # layers that are called past their hooks
    "masked/modernbert": {},
    "masked/longformer": CLOSED,  # pads inside itself
    "masked/roformer": CLOSED,  # mixes padding into rows
    "causal/opt": {},
    "causal/lfm2": {},  # attention in some layers, convolutions in the others
    "causal/mamba": NO_ATTENTION,  # no attention
    "causal/gptj": {},  # attention that is no function
    "causal/falcon": {},
    "causal/bloom": {},
    "causal/deepseek_v3": {},  # keys and values of two sizes, neither of which the configuration tells
    "causal/gpt_bigcode": {},  # one head of keys and values
    "causal/gemma3n_text": {"capt": "states of 4 axes"},  # ids are looked up a second time
    "causal/diffllama": {},  # attention with two softmaxes
    "causal/xlnet": dict.fromkeys((case.name for case in CASES), "columns that it works on are not its tokens"),
    "causal/bart": {},  # a decoder taken alone
    "causal/whisper": {},
    "imagetext/qwen2_vl": {},  # positions of three axes
    "seq2seq/t5gemma": {},
}
# What does not hold yet; a type that does has to leave.
NOT_YET: set[str] = set()


def asked(name: str) -> ModelType:
    return ModelType(*name.split("/"))


def faults(found: Found, refused: dict[str, str]) -> list[str]:
    """What is otherwise than it should be."""
    assert found.built, found.checks
    told = [f"{name}: {one.note}" for name, one in found.checks.items() if one.word in (ERROR, WRONG)]
    lines = {name.split()[0]: one.note for name, one in found.checks.items() if one.word == REFUSED}
    told += [f"{name} is refused: {lines[name]}" for name in lines.keys() - refused.keys()]
    told += [f"{name} is not refused" for name in refused.keys() - lines.keys()]
    return told + [line for name, line in lines.items() if refused.get(name, "") not in line]


@pytest.mark.no_cover
@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=[pytest.mark.xfail] if one in NOT_YET else []) for one in SAMPLE]
)
def test_a_type(name: str) -> None:
    assert faults(children.tried(asked(name)), SAMPLE[name]) == []


@pytest.mark.slow
def test_every_type() -> None:
    """Each that can be built holds at every site or is refused in a true line."""
    found = {str(one.asked): one for one in children.run(all_types(), jobs=2)}
    bad = {
        name: [one for one in found.checks.items() if one[1].word in (ERROR, WRONG)] for name, found in found.items()
    }
    assert {name: told for name, told in bad.items() if told} == {}
    assert sum(one.built for one in found.values()) >= 320


@pytest.mark.slow
def test_a_type_that_cannot_be_built_costs_itself_alone() -> None:
    found = {
        one.asked.name: one.built for one in children.run([asked("causal/dots3_note"), asked("causal/gpt2")], jobs=1)
    }
    assert found == {"dots3_note": False, "gpt2": True}


def test_every_type_is_asked_once_and_has_a_class() -> None:
    types = all_types()
    assert len(types) == len(set(types)) > 300
    assert set(map(asked, SAMPLE)) <= set(types)


# --- Whether the checks can fail.


def checks_of(family: str, method: str, kind: str = "causal", backbone: Any = None) -> dict[str, Verdict]:
    (case,) = [one for one in CASES if one.name == method]
    bare = Bare(model(family) if backbone is None else backbone, kind)
    found = Checks(bare, tokenizer()).of_case(case)
    return {name.removeprefix(f"{method} "): one for name, one in found.items()}


def words(found: dict[str, Verdict], word: str) -> set[str]:
    return {name for name, one in found.items() if one.word == word}


@pytest.mark.parametrize("method", [case.name for case in CASES])
def test_nothing_is_found_where_nothing_is_wrong(method: str) -> None:
    assert {name for name, one in checks_of("llama", method).items() if one.word != HOLDS} == set()


@pytest.fixture
def misread(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """Families, and what of their anatomies shall be read otherwise than it is."""
    changes: dict[str, dict[str, Any]] = {}
    read = anatomy._read

    def otherwise(found: Any) -> sp.Anatomy:
        return dataclasses.replace(read(found), **changes[found.config.model_type])

    monkeypatch.setattr(anatomy._READERS, "known", dict.fromkeys(("roberta", "bert", "llama"), otherwise))
    return changes


def test_positions_that_begin_elsewhere_are_found(misread: dict[str, dict[str, Any]]) -> None:
    misread["roberta"] = {"position_offset": 0}
    assert words(checks_of("roberta", "p_tuning_v2", "masked"), WRONG) == {"reference"}
    assert words(checks_of("roberta", "prompt_tuning", "masked"), WRONG) == {"reference"}


def test_an_encoder_that_is_read_as_a_decoder_is_found(misread: dict[str, dict[str, Any]]) -> None:
    misread["bert"] = {"kind": "causal"}
    assert checks_of("bert", "p_tuning_v2", "masked")["effect"].note.startswith("read as causal, which it is not")


def test_layers_in_another_order_are_found(misread: dict[str, dict[str, Any]]) -> None:
    own = model("llama", seed=2)
    layers = own.model.layers
    misread["llama"] = {"layers": (layers[0], layers[2], layers[1])}
    assert "reference" in words(checks_of("llama", "capt", backbone=own), WRONG)


@pytest.mark.parametrize(
    ("why", "told"),
    [
        ("it has none of what it takes", "the line names no method, and prompt_tuning works"),
        ("use capt", ""),
        ("use prefix_tuning", "the line names prefix_tuning, which does not work"),
    ],
)
def test_a_refusal_names_what_works(why: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for method in (PTuningV2, PrefixTuning):
        monkeypatch.setattr(method, "refusal", lambda self, anatomy: why)
    found = checks_of("llama", "p_tuning_v2")
    assert set(found) == {"effect", "refusal", "detach"}
    assert found["effect"].word == REFUSED
    assert found["refusal"] == Verdict(WRONG if told else HOLDS, told)


def test_a_refusal_in_the_first_call_and_another_exception_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from softprompt.methods.prompt_tuning import Table

    def late(self: Any, view: Any) -> Any:
        raise fault

    monkeypatch.setattr(Table, "embed", late)
    fault: Exception = sp.SoftPromptError("no: use capt")
    assert checks_of("llama", "prompt_tuning")["refusal"] == Verdict(WRONG, "refused only when called")
    fault = KeyError("x")
    found = checks_of("llama", "prompt_tuning")
    assert found["effect"].word == ERROR
    assert re.fullmatch(r"KeyError: 'x' \(test_sweep\.py:\d+, from \w+\.py:\d+\)", found["effect"].note)


def test_what_is_left_behind_is_found() -> None:
    own = model("llama", seed=3)
    bare = Bare(own, "causal")
    bare.check_state()
    handle = own.model.register_forward_hook(lambda *_: None)
    assert judged(bare.check_state) == Verdict(WRONG, "left behind: hooks")
    handle.remove()
    with torch.no_grad():
        weight = own.lm_head.weight
        kept = weight.clone()
        weight[0, 0] += 1
    assert judged(bare.check_state).note == "left behind: the bare model's output is another"
    with torch.no_grad():
        weight.copy_(kept)
    bare.check_state()


def test_a_model_that_takes_more_than_ids_is_not_tried() -> None:
    class Pictures(type(model("llama"))):  # type: ignore[misc]
        def forward(self, pixel_values: Any, **rest: Any) -> Any:
            raise AssertionError

    with pytest.raises(Unknown, match="takes more than ids and a mask"):
        Bare(Pictures(model("llama").config), "causal")


# --- Results and pages.


def found(name: str, **checks: str) -> Found:
    return Found(asked(name), {key.replace("__", " "): Verdict(word, "a line") for key, word in checks.items()})


def test_results_keep_the_last_of_a_type_and_notes_of_what_does_not_hold(tmp_path: Any) -> None:
    path = tmp_path / "deep" / "sweep.jsonl"
    for one in (
        found("masked/bert", capt__effect=WRONG),
        found("causal/gpt2", capt__effect=HOLDS),
        found("masked/bert", capt__effect=REFUSED),
    ):
        results.add(path, one)
    read = results.read(path)
    assert list(read) == [asked("causal/gpt2"), asked("masked/bert")]
    assert read[asked("masked/bert")].checks == {"capt effect": Verdict(REFUSED, "a line")}
    assert read[asked("causal/gpt2")].checks == {"capt effect": Verdict(HOLDS)}
    results.write(path, read.values())
    assert results.read(path) == read


def test_a_run_goes_on_with_what_is_lacking() -> None:
    known = set(all_types()[1:])
    assert program.asked_for([], known, fresh=False) == [all_types()[0]]
    assert program.asked_for([], known, fresh=True) == list(all_types())
    assert program.asked_for(["masked/bert", "gpt2", "gpt2"], known, fresh=False) == [
        asked("causal/gpt2"),
        asked("masked/bert"),
    ]
    with pytest.raises(SystemExit, match="no such type: bret"):
        program.asked_for(["bret"], known, fresh=False)


def test_the_tables_count_each_type_by_its_worst() -> None:
    now = [
        found("causal/gpt2", prompt_tuning__effect=HOLDS, prompt_tuning__reference=HOLDS, capt__generate=WRONG),
        found("causal/opt", prompt_tuning__effect=HOLDS, prompt_tuning__reference=UNKNOWN, capt__effect=REFUSED),
        found("causal/llama", capt__effect=HOLDS, capt__reference=HOLDS),
        results.untried(asked("causal/llama4"), "no"),
    ]
    before = [found("causal/opt", capt__effect=ERROR), found("causal/llama", capt__effect=HOLDS)]
    both = [{one.asked: one for one in results} for results in (now, before)]
    assert pages.counts(*both).splitlines()[2:] == [
        "| Language models that write on | 2 → 3 | 1 | 0 → 1 | 1 → 0 | 0 → 1 |",
        "| together | 2 → 3 | 1 | 0 → 1 | 1 → 0 | 0 → 1 |",
    ]
    lines = pages.types(*both).splitlines()
    assert "| `gpt2` | holds, compared | unknown | unknown | wrong |  |" in lines
    assert "| `opt` | holds | unknown | refused |  | error |" in lines
    assert "| `llama` | unknown | unknown | holds, compared |  | holds |" in lines
    assert "Not tried: `llama4`." in lines
    assert pages.refusals(both[0]).splitlines()[2:] == ["| a line | `opt` |"]


def test_the_worst_counts() -> None:
    assert worst([HOLDS, UNKNOWN, REFUSED]) == REFUSED
    assert worst([UNKNOWN, HOLDS]) == HOLDS
    assert worst([]) == UNKNOWN


def test_the_pages_show_what_the_results_have() -> None:
    for page, text in pages.pages().items():
        assert page.read_text(encoding="utf-8") == text, "run python -m benchmarks.sweep --tables"
        assert "python -m benchmarks.sweep -->" in text
