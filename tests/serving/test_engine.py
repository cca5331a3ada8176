"""Mixed batches: every row is answered as it is alone, whatever else stands in the batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from softprompt.errors import SoftPromptError
from softprompt.inference.predict import Answer
from softprompt.serving.engine import Engine
from softprompt.serving.shelf import NotServed
from softprompt.serving.together import run_together

from ..shared.served import GENERATION, MIXED, TEXTS, alone, backbone, put, put_mixed

FAMILIES = ("llama", "gpt2", "gemma3", "bert", "t5")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Mixed prompts of several families."""
    found = {}
    for family in FAMILIES:
        found[family] = tmp_path_factory.mktemp(family) / "prompts"
        put_mixed(found[family], family)
    return found


@contextmanager
def serving(root: Path, family: str, **options: Any) -> Iterator[Engine]:
    with Engine(backbone(family), root, **options) as engine:
        engine.look()
        yield engine


def agree(found: Answer | SoftPromptError, expected: Answer) -> None:
    assert isinstance(found, Answer), found
    assert found.label == expected.label
    assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_mixed_batch_answers_each_row_as_alone(family: str, folders: dict[str, Path]) -> None:
    expected = {name: alone(folders[family], name, family, TEXTS) for name in MIXED}
    with serving(folders[family], family) as engine:
        questions = [one for text in TEXTS for name in MIXED for one in engine.ask(name, [text])]
        for question, answer in zip(questions, engine.answer(questions), strict=True):
            agree(answer, expected[question.task][TEXTS.index(question.row.fields["text"])])
        engine.forget(questions)
    assert len({round(max(one.probabilities.values()), 4) for each in expected.values() for one in each}) > len(MIXED)


NESTED = {"0": "w10", "1": "w10 w11"}
# Prompts of tasks whose answers are read in different ways; `front` places its virtual tokens by its template.
KINDS: dict[str, dict[str, Any]] = {
    "words": {},
    "answers of several tokens": {"labels": NESTED},
    "number": {"kind": "regression", "bounds": (0, 1), "metrics": ["pearson"]},
    "head": {"wishes": {"readout": "head"}},
    "mean": {"wishes": {"readout": "head", "pooling": "mean"}},
    "placed": {"template": "{text} {prompt} {mask}"},
    "text": {**GENERATION, "wishes": {"max_new_tokens": 4}},
    "beams": {**GENERATION, "wishes": {"max_new_tokens": 4, "num_beams": 2}},
}
LEFT_OUT = {"bert": {"text", "beams"}, "t5": {"head", "mean", "number"}, "llama": set()}


def names_of(family: str) -> dict[str, tuple[str, str]]:
    """By a name that may be served the kind of a prompt and its method."""
    kinds = [kind for kind in KINDS if kind not in LEFT_OUT[family]]
    return {
        f"p{place}": (kind, ("prompt_tuning", "capt")[place % 2]) for place, kind in enumerate([*kinds, *kinds[:3]])
    }


@pytest.mark.parametrize("family", list(LEFT_OUT))
def test_tasks_that_are_read_in_different_ways_share_a_batch(family: str, tmp_path: Path) -> None:
    root, names = tmp_path / "prompts", names_of(family)
    for seed, (name, (kind, method)) in enumerate(names.items()):
        options = {"num_virtual_tokens": 1 + seed % 4} if method == "prompt_tuning" else {}
        put(root, name, family, method, options, seed=seed, **KINDS[kind])
    with serving(root, family) as engine:
        assert engine.shelf.names == sorted(names)
        questions = [one for text in TEXTS for name in names for one in engine.ask(name, [text])]
        found = engine.answer(questions)
        engine.forget(questions)
    for name in names:
        expected = alone(root, name, family, TEXTS)
        for answer, right in zip(
            [a for q, a in zip(questions, found, strict=True) if q.task == name], expected, strict=True
        ):
            agree(answer, right)


def test_weight_side_prompts_answer_beside_the_others(tmp_path: Path) -> None:
    root = tmp_path / "prompts"
    put(root, "lora", "llama", "lora", {"rank": 2}, seed=1)
    put(root, "ia3", "llama", "ia3", {}, seed=2)
    put(root, "static", "llama", *MIXED["static"], seed=3)
    put(root, "writes", "llama", "lora", {"rank": 2}, seed=4, **KINDS["text"])
    with serving(root, "llama") as engine:
        questions = [one for name in ("lora", "static", "ia3", "writes") for one in engine.ask(name, TEXTS)]
        found = engine.answer(questions)
        engine.forget(questions)
    for place, name in enumerate(("lora", "static", "ia3", "writes")):
        for answer, right in zip(found[4 * place : 4 * place + 4], alone(root, name, "llama", TEXTS), strict=True):
            agree(answer, right)


def test_a_static_prompt_is_lowered_once_and_no_row_holds_a_copy(folders: dict[str, Path]) -> None:
    """Its keys and values are one tensor a layer; a cache has the columns of the row's own text alone."""
    with serving(folders["llama"], "llama") as engine:
        writer, shelf = engine.shelf, engine.shelf.prompted
        served = [writer.take(name) for name in ("static", "longer", "deep")]
        for one in served:
            assert one.lowered is not None
            place = shelf.names.index(one.lowered)
            own, again = (shelf.prompts[place].keys_values() for _ in range(2))
            assert all(a is b for pair, other in zip(own, again, strict=True) for a, b in zip(pair, other, strict=True))
            assert own[0][0].shape[1] == one.prompt.producer.footprint.count
            assert one.size >= sum(t.numel() * t.element_size() for pair in own for t in pair)
            writer.give_back(one)
        capsule = writer.take("capsule")
        assert capsule.lowered is None
        writer.give_back(capsule)


def test_beyond_a_sliding_window_a_prompt_is_not_lowered(folders: dict[str, Path]) -> None:
    """Gemma's window hides what lies far behind, virtual tokens as well; keys and values are seen from everywhere."""
    with serving(folders["gemma3"], "gemma3") as engine:
        used: list[bool] = []
        instead = engine._instead
        engine._instead = lambda *given: (
            lambda row, length: (  # type: ignore[method-assign]
                used.append(instead(*given)(row, length) != row) or instead(*given)(row, length)
            )
        )
        short, long = engine.ask("static", ["w20"]), engine.ask("static", [TEXTS[2]])
        engine.answer([*short, *long])
        assert used == [True, False]
        engine.forget([*short, *long])


def test_a_row_with_a_fault_takes_no_other_along(folders: dict[str, Path]) -> None:
    with serving(folders["llama"], "llama") as engine:
        good, bad = engine.ask("static", TEXTS[:1]), engine.ask("capsule", TEXTS[:1])
        readout = bad[0].served.prompt.readout
        assert readout is not None

        def refuse(*_: Any) -> Any:
            raise SoftPromptError("this one fails")

        readout.scored = refuse  # type: ignore[method-assign]
        answer, fault = engine.answer([*good, *bad])
        agree(answer, alone(folders["llama"], "static", "llama", TEXTS[:1])[0])
        assert str(fault) == "this one fails"
        with pytest.raises(NotServed):
            engine.ask("nobody", ["w20"])
        with pytest.raises(SoftPromptError, match="text"):
            engine.ask("static", [{"words": "w20"}])
        engine.forget([*good, *bad])
        assert all(one.users == 0 for one in engine.shelf._loaded.values())


def test_what_a_readout_asks_is_asked_once_of_the_model(folders: dict[str, Path]) -> None:
    """Six prompts of three sites: one pass of the body."""
    with serving(folders["llama"], "llama") as engine:
        questions = [one for name in MIXED for one in engine.ask(name, TEXTS)]
        passes: list[int] = []
        body = engine.shelf.prompted.anatomy.body
        hook = body.register_forward_pre_hook(lambda module, args, kwargs: passes.append(1), with_kwargs=True)
        engine.answer(questions)
        hook.remove()
        assert len(passes) == 1
        assert run_together(engine.shelf.prompted, [lambda stand: 1, lambda stand: 2], 0) == [1, 2]
        engine.forget(questions)
