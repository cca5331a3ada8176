"""States below the lowest prompted layer: computed once, with the same loss, gradients and prompt as without."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

from softprompt.attached.attach import attach
from softprompt.attached.model import PromptedModel
from softprompt.backbones.backbone import Backbone
from softprompt.files.kept import KeptFiles
from softprompt.inference.predict import predict
from softprompt.inference.prefilled import PrefilledItem, beginning_above
from softprompt.methods import LPT, SPT, CaPT, DeepPrompt, Method, PrefixTuning, PromptTuning, PTuningV2, SoftWords
from softprompt.readouts.build import build_readout
from softprompt.readouts.free_text import FreeText
from softprompt.sites.kept_room import Room
from softprompt.sites.kept_texts import KeptTexts
from softprompt.training.fitting.frozen_states import keep_states_below, keep_texts, stand_behind
from softprompt.training.fitting.trainer import TaskModel
from softprompt.training.options import TrainingOptions
from softprompt.training.run import Interrupted
from softprompt.training.setup import readout_spec

from ...shared.models import model, tokenizer
from ...shared.prompts import close, producer
from ...shared.runs import PROMPT, Interrupting, run, task
from ...shared.unusual import unusual

METHODS: dict[str, Method] = {
    "spt": SPT(select="2", num_virtual_tokens=2, bottleneck=8, dropout=0.0),
    "spt_add": SPT(select="1,2", num_virtual_tokens=2, bottleneck=8, dropout=0.0, combine="add"),
    "capt": CaPT(select="last:1", init_std=0.5),
    "deep_prompt": DeepPrompt(select="1", num_virtual_tokens=2, init_std=0.5),
    "p_tuning_v2": PTuningV2(select="2", num_virtual_tokens=3, init_std=0.5),
    "lpt": LPT(layer=2, num_virtual_tokens=2, bottleneck=8, dropout=0.0),
}
SERVED = ("bert", "roberta", "gpt2", "llama", "qwen3", "gemma3")


def setting(
    family: Any, method: Method, folder: Path, template: str = "{text} {mask}", **options: Any
) -> tuple[PromptedModel, TaskModel, list[Any]]:
    """An attached prompt on a model or a family's, what is trained, and encoded rows of several lengths."""
    backbone, rows = model(family) if isinstance(family, str) else family, task(folder, template=template)
    prompted = attach(backbone, tokenizer(), producer(backbone, method))
    spec = readout_spec(backbone, rows, method, TrainingOptions(**options))
    readout = build_readout(rows, Backbone(backbone, tokenizer()), prompted.prompts[0], spec)
    return prompted, TaskModel(prompted, readout), [readout.encode(row) for row in rows.splits(1).train[:7]]


def gradients(trained: TaskModel, items: list[Any], below: Any = None) -> tuple[torch.Tensor, list[torch.Tensor]]:
    trained.zero_grad()
    batch = trained.readout.collate(items, train=True)
    if below is None:
        loss = trained(batch)
    else:
        with trained.prompted.starting_at_layer(below):
            loss = trained(batch)
    loss.backward()
    return loss.detach(), [p.grad.clone() for p in trained.parameters() if p.grad is not None]


@pytest.mark.parametrize("family", SERVED)
@pytest.mark.parametrize("name", METHODS)
def test_the_loss_and_its_gradients_are_the_same(family: str, name: str, tmp_path: Path) -> None:
    prompted, trained, items = setting(family, METHODS[name], tmp_path)
    with prompted:
        first = prompted.first_layer
        assert first > 0
        kept = keep_states_below(prompted, trained.readout, items, train=True, batch_size=3, room=Room())
        assert kept is not None
        ran: list[int] = []
        handles = [
            next(iter(layer.children())).register_forward_hook(lambda *_, place=place: ran.append(place))
            for place, layer in enumerate(prompted.anatomy.layers)
        ]
        expected, whole = gradients(trained, items)
        assert set(ran) == {0, 1, 2}
        ran.clear()
        found, partial = gradients(trained, items, [item.states_below for item in kept])
        assert set(ran) == set(range(first, 3))  # the layers below are not run
        close(found, expected, 1e-5)
        assert len(whole) == len(partial) > 0
        for one, other in zip(partial, whole, strict=True):
            close(one, other, 1e-4)
        for handle in handles:
            handle.remove()
        again, _ = gradients(trained, items)  # the layers are themselves again
        assert torch.equal(again, expected)


@pytest.mark.parametrize("family", SERVED)
@pytest.mark.parametrize("readout", ["head", None])
def test_rows_that_are_answered_begin_above_as_well(family: str, readout: str | None, tmp_path: Path) -> None:
    prompted, trained, items = setting(family, METHODS["spt"], tmp_path, readout=readout)
    rows = [item.row for item in items]
    with prompted:
        kept = keep_states_below(prompted, trained.readout, items, train=False, batch_size=3, room=Room())
        assert kept is not None
        ran: list[int] = []
        handles = [
            next(iter(layer.children())).register_forward_hook(lambda *_, place=place: ran.append(place))
            for place, layer in enumerate(prompted.anatomy.layers)
        ]
        expected = predict(prompted, trained.readout, rows, batch_size=2)
        assert set(ran) == {0, 1, 2}
        ran.clear()
        found = predict(prompted, trained.readout, rows, batch_size=2, items=kept)
        assert set(ran) == {2}
        for handle in handles:
            handle.remove()
        for one, other in zip(found, expected, strict=True):
            assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)


def test_a_row_that_comes_again_is_computed_once_and_keeps_all_that_it_was(tmp_path: Path) -> None:
    prompted, trained, items = setting("llama", METHODS["spt"], tmp_path)
    first = replace(items[0], answer_cut=True, outside=True)
    with prompted:
        seen: list[int] = []
        rows = [first, items[1], first]
        own = {"train": True, "batch_size": 3, "room": Room(), "tick": seen.append}
        kept = keep_states_below(prompted, trained.readout, rows, **own)
    assert kept is not None
    assert sum(seen) == 2
    assert kept[0] is kept[2]
    for one, other in zip(kept, rows, strict=True):
        assert all(getattr(one, field.name) == getattr(other, field.name) for field in fields(other))


def test_rows_that_take_more_than_is_kept_run_whole(tmp_path: Path) -> None:
    prompted, trained, items = setting("llama", METHODS["spt"], tmp_path)
    with prompted:
        whole = Room()
        assert keep_states_below(prompted, trained.readout, items, train=True, batch_size=3, room=whole) is not None
        size = Room().left - whole.left
        for most, kept in ((size, True), (size - 1, False)):
            own = Room(memory=most)
            found = keep_states_below(prompted, trained.readout, items, train=True, batch_size=3, room=own)
            assert (found is not None) == kept
            assert own.left == (0 if kept else most)  # nothing was computed for nothing


def test_free_text_is_answered_from_the_first_layer(tmp_path: Path) -> None:
    """It is written in many passes."""
    prompted, trained, items = setting("llama", METHODS["spt"], tmp_path)
    writing = FreeText(trained.readout.row_encoder, 0, None, 1, space=True, max_new_tokens=2)
    with prompted:
        assert keep_states_below(prompted, writing, items, train=False, batch_size=3, room=Room()) is None


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_nothing_below_takes_a_gradient(family: str, tmp_path: Path) -> None:
    prompted, trained, items = setting(family, METHODS["spt"], tmp_path)
    with prompted:
        seen: dict[int, bool] = {}
        handles = [
            layer.register_forward_hook(lambda m, a, out, place=place: seen.update({place: out.requires_grad}))
            for place, layer in enumerate(prompted.anatomy.layers)
        ]
        trained(trained.readout.collate(items, train=True))
        for handle in handles:
            handle.remove()
        assert seen == {0: False, 1: False, 2: True}


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_a_run_ends_in_the_same_prompt(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = METHODS["spt"]
    begun: list[Any] = []

    def counted(prompted: PromptedModel, items: list[Any]) -> Any:
        begun.extend(item for item in items if isinstance(item, PrefilledItem))
        return beginning_above(prompted, items)

    monkeypatch.setattr("softprompt.inference.predict.beginning_above", counted)
    kept = run(tmp_path / "kept", family, method, max_steps=20, data=tmp_path / "data")
    assert begun
    monkeypatch.setattr(PromptedModel, "first_layer", 0)
    whole = run(tmp_path / "whole", family, method, max_steps=20, data=tmp_path / "data")
    for name, value in whole.prompt.producer.stored().items():
        close(kept.prompt.producer.stored()[name], value, 1e-4)
    for name in ("validation", "test"):
        assert kept.metrics[name]["loss"] == pytest.approx(whole.metrics[name]["loss"], abs=1e-4)


@pytest.mark.parametrize("family", ["t5", "bart", "albert"])
def test_families_that_cannot_begin_above_run_whole(family: str, tmp_path: Path) -> None:
    """Relative positions handed from layer to layer, and layers that are one module."""
    prompted, _, _ = setting(family, METHODS["spt"], tmp_path)
    with prompted:
        assert prompted.first_layer == 0
    assert run(tmp_path, family, METHODS["spt"], max_steps=8).metrics["kept_layers"] == [2]


def test_a_layer_that_gives_more_than_states_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("softprompt.sites.layer_skipping.can_skip_layers", lambda anatomy: True)
    prompted, trained, items = setting("t5", METHODS["spt"], tmp_path)
    with prompted:
        assert prompted.first_layer == 2
        assert keep_states_below(prompted, trained.readout, items, train=True, batch_size=3, room=Room()) is None


LAST = DeepPrompt(select="2", num_virtual_tokens=2, init_std=0.5)


def test_a_layer_whose_keys_others_take_is_run(tmp_path: Path) -> None:
    """Gemma 4's last layer takes those of layer 1."""
    prompted, trained, items = setting(unusual("gemma4_text", AutoModelForCausalLM), LAST, tmp_path)
    with prompted:
        assert prompted.first_layer == 1
        kept = keep_states_below(prompted, trained.readout, items, train=True, batch_size=3, room=Room())
        assert kept is not None
        expected, whole = gradients(trained, items)
        found, partial = gradients(trained, items, [item.states_below for item in kept])
    close(found, expected, 1e-5)
    for one, other in zip(partial, whole, strict=True):
        close(one, other, 1e-4)


def test_padding_of_the_models_own_is_no_rows(tmp_path: Path) -> None:
    """Longformer runs whole windows."""
    prompted, trained, items = setting(unusual("longformer", AutoModelForMaskedLM), LAST, tmp_path)
    with prompted, torch.no_grad(), prompted.starting_at_layer() as states_below:
        trained(trained.readout.collate(items, train=True))
        assert [len(one) for one in states_below.recorded] == [item.length + 2 for item in items]
        assert keep_states_below(prompted, trained.readout, items, train=True, batch_size=3, room=Room()) is None


def test_prompts_at_the_input_begin_there(tmp_path: Path) -> None:
    prompted, _, _ = setting("llama", PromptTuning(num_virtual_tokens=2), tmp_path)
    with prompted:
        assert prompted.first_layer == 0


def asked(trained: TaskModel, items: list[Any]) -> tuple[Any, list[Any]]:
    """The loss of rows with its gradients, and their answers."""
    rows = [item.row for item in items]
    return gradients(trained, items), predict(trained.prompted, trained.readout, rows, batch_size=2)


BEHIND = "{text} w50 {prompt} w51 {mask}"
TUNING = PromptTuning(num_virtual_tokens=2, init="random_uniform")


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma3"])
def test_texts_before_the_prompt_are_kept_for_steps_and_for_answers(family: str, train: bool, tmp_path: Path) -> None:
    prompted, trained, items = setting(family, TUNING, tmp_path, BEHIND)
    kept = KeptTexts(Room())
    with prompted:
        assert stand_behind(items)
        told: list[int] = []
        keep_texts(prompted, trained.readout, items, kept, train=train, batch_size=3, tick=told.append)
        assert (len(kept), sum(told)) == (7, 7)
        expected, answers = asked(trained, items)
        kept.computed = 0
        with prompted.keeping_texts(kept):
            found, again = asked(trained, items)
        assert kept.computed == 0
    close(found[0], expected[0], 1e-5)
    close(found[1][0], expected[1][0], 1e-5)
    for one, other in zip(again, answers, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)


def test_members_of_a_mixture_have_texts_of_their_own(tmp_path: Path) -> None:
    """Their words are the virtual tokens, and those that a member has not stand masked behind the row."""
    words = SoftWords(prompts=("{text} w63 w64 {mask}", "{text} w60 w61 w62 {mask}"))
    prompted, trained, items = setting("llama", words, tmp_path)
    with prompted:
        assert stand_behind(items)
        kept, expected = KeptTexts(Room()), gradients(trained, items)
        keep_texts(prompted, trained.readout, items, kept, train=True, batch_size=3)
        kept.computed = 0
        with prompted.keeping_texts(kept):
            found = gradients(trained, items)
        assert (len(kept), kept.computed) == (7, 0)
    for one, other in zip([found[0], *found[1]], [expected[0], *expected[1]], strict=True):
        close(one, other, 1e-5)


def test_candidates_of_several_tokens_share_what_is_kept_of_their_text(tmp_path: Path) -> None:
    backbone, rows = model("llama"), task(tmp_path, template=BEHIND, labels={"0": "w10 w12", "1": "w11"})
    with attach(backbone, tokenizer(), producer(backbone, TUNING)) as prompted:
        spec = readout_spec(backbone, rows, TUNING, TrainingOptions())
        readout = build_readout(rows, Backbone(backbone, tokenizer()), prompted.prompts[0], spec)
        items, kept = [readout.encode(row) for row in rows.splits(1).train[:5]], KeptTexts(Room())
        assert len(items[0].texts) == 2
        expected = predict(prompted, readout, [item.row for item in items])
        keep_texts(prompted, readout, items, kept, train=False, batch_size=3)
        assert (len(kept), kept.computed) == (5, 5)
        with prompted.keeping_texts(kept):
            found = predict(prompted, readout, [item.row for item in items])
        for one, other in zip(found, expected, strict=True):
            assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)


@pytest.mark.parametrize("template", ["{text} {mask}", "{prompt} {text} {mask}", "w44 {prompt} {text} w50 {mask}"])
def test_no_text_is_run_for_a_prompt_that_stands_in_front(template: str, tmp_path: Path) -> None:
    prompted, _, items = setting("llama", TUNING, tmp_path, template)
    with prompted:
        assert not stand_behind(items)


@pytest.mark.parametrize("family", ["gpt2", "gemma3"])
def test_a_run_over_kept_texts_ends_in_the_same_prompt(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[KeptTexts] = []

    class Noted(KeptTexts):
        def __init__(self, room: Room) -> None:
            super().__init__(room)
            made.append(self)

        def values(self) -> Iterator[torch.Tensor]:
            return iter(self._kept.values())

    monkeypatch.setattr("softprompt.training.fitting.stage.KeptTexts", Noted)
    chosen: dict[str, Any] = {"max_steps": 20, "template": BEHIND, "eval_batch_size": 3}
    kept = run(tmp_path / "kept", family, TUNING, data=tmp_path / "data", **chosen)
    assert len(made) == 1
    assert len(made[0]) == made[0].computed > 20  # of all rows that are trained on or chosen by, each once
    most = sum(one.numel() * one.element_size() for one in made[0].values()) // 3
    monkeypatch.setattr("softprompt.training.fitting.stage.room_of", lambda run, prompted: Room(memory=most))
    some = run(tmp_path / "some", family, TUNING, data=tmp_path / "data", **chosen)
    assert 0 < len(made[1]) < 20 < made[1].computed  # the others run in their steps
    monkeypatch.setattr(
        "softprompt.training.fitting.stage.room_of", lambda run, prompted: Room(KeptFiles(run / ".kept"), memory=20_000)
    )
    run(tmp_path / "disk", family, TUNING, data=tmp_path / "data", **chosen)
    assert len(made[2]) == len(made[0]) == made[2].computed
    assert (tmp_path / "disk" / PROMPT).read_bytes() == (tmp_path / "kept" / PROMPT).read_bytes()
    monkeypatch.setattr("softprompt.training.fitting.stage.stand_behind", lambda items: False)
    whole = run(tmp_path / "whole", family, TUNING, data=tmp_path / "data", **chosen)
    for one in (kept, some):
        for name, value in whole.prompt.producer.stored().items():
            close(one.prompt.producer.stored()[name], value, 1e-4)
        for name in ("validation", "test"):
            assert one.metrics[name]["loss"] == pytest.approx(whole.metrics[name]["loss"], abs=1e-4)


@pytest.mark.parametrize(("memory", "on_disk"), [(1 << 20, False), (20_000, False), (20_000, True)])
def test_a_run_over_kept_texts_resumes_to_the_same_bytes(
    memory: int, on_disk: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def room(run: Path, prompted: PromptedModel) -> Room:
        return Room(KeptFiles(run / ".kept") if on_disk else None, memory)

    monkeypatch.setattr("softprompt.training.fitting.stage.room_of", room)
    chosen: dict[str, Any] = {"max_steps": 20, "evaluations": 4, "template": BEHIND, "eval_batch_size": 3}
    run(tmp_path / "a", "llama", TUNING, **chosen)
    with pytest.raises(Interrupted):
        run(tmp_path / "b", "llama", TUNING, progress=Interrupting(13), **chosen)
    run(tmp_path / "b", "llama", TUNING, resume=True, **chosen)
    assert (tmp_path / "a" / PROMPT).read_bytes() == (tmp_path / "b" / PROMPT).read_bytes()


@pytest.mark.parametrize("train", [True, False])
def test_texts_are_kept_of_an_encoder_that_no_prompt_reaches(train: bool, tmp_path: Path) -> None:
    prompted, trained, items = setting("t5", PrefixTuning(num_virtual_tokens=2), tmp_path)
    prompted.prompts[0].prefix = 0  # the decoder's are left
    kept = KeptTexts(Room())
    with prompted:
        assert prompted.leaves_encoder
        keep_texts(prompted, trained.readout, items, kept, train=train, batch_size=3)
        assert len(kept) == 7
        expected, answers = asked(trained, items)
        kept.computed = 0
        with prompted.keeping_texts(kept):
            found, again = asked(trained, items)
        assert kept.computed == 0
    close(found[0], expected[0], 1e-5)
    for one, other in zip(found[1], expected[1], strict=True):
        close(one, other, 1e-5)
    for told, other in zip(again, answers, strict=True):
        assert told.probabilities == pytest.approx(other.probabilities, abs=1e-5)
