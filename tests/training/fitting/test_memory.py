"""What a step keeps, beside what autograd kept of one, and what follows where too little is free."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from softprompt.attached.attach import attach
from softprompt.backbones.backbone import Backbone
from softprompt.errors import SoftPromptError
from softprompt.methods import IDPG, SPT, CaPT, FullFinetuning, HeadOnly, LoRA, Method, PromptTuning, PTuningV2
from softprompt.progress import Progress
from softprompt.readouts.build import build_readout
from softprompt.training.courses.layer_search import SearchTrainer
from softprompt.training.fitting import memory
from softprompt.training.fitting.memory import StepMemory, step_memory
from softprompt.training.fitting.stage import Stage, prepared
from softprompt.training.fitting.trainer import TaskModel
from softprompt.training.measure import FreeMemory
from softprompt.training.options import TrainingOptions, planned
from softprompt.training.setup import readout_spec

from ...shared.models import model, tokenizer
from ...shared.prompts import close, producer
from ...shared.runs import PROMPT, run, task

MUCH = FreeMemory(1 << 50, 1 << 50)
METHODS: dict[str, Method] = {
    "prompt_tuning": PromptTuning(num_virtual_tokens=3),
    "behind": PromptTuning(num_virtual_tokens=3, placement="end"),
    "p_tuning_v2": PTuningV2(num_virtual_tokens=3),
    "capt": CaPT(),
    "spt": SPT(select="2", num_virtual_tokens=2, bottleneck=8, dropout=0.1),
    "idpg": IDPG(num_virtual_tokens=2, bottleneck=8),
    "lora": LoRA(),
    "full_finetuning": FullFinetuning(),
}
FAMILIES = ("bert", "gpt2", "llama", "gemma3", "t5")


def stage(family: str, method: Method, folder: Path, **options: Any) -> Stage:
    """One that is ready for its first step, of rows of several lengths."""
    backbone, rows = model(family), task(folder)
    prompted = attach(backbone, tokenizer(), producer(backbone, method))
    chosen = TrainingOptions(**options)
    spec = readout_spec(backbone, rows, method, chosen)
    readout = build_readout(rows, Backbone(backbone, tokenizer()), prompted.prompts[0], spec)
    splits = rows.splits(1)
    recipe = method.recipe(prompted.anatomy.family, prompted.anatomy.kind)
    return Stage(
        name=None,
        trained=TaskModel(prompted, readout),
        task=rows,
        plan=planned(chosen, recipe),
        options=chosen,
        items=[readout.encode(row) for row in splits.train],
        validation=[readout.encode(row) for row in splits.validation],
        folder=folder / "run" / "state",
        seed=1,
        show=Progress(shown=False),
        stopping=lambda: False,
    )


def saved_by(own: Stage, items: list[Any]) -> int:
    """The bytes that autograd holds after a forward pass of a batch, told another way: by the graph's nodes."""
    weights = {one.data_ptr() for one in own.trained.prompted.backbone.parameters()}
    own.trained.train()
    sizes: dict[int, int] = {}

    def see(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if tensor.data_ptr() not in weights:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(see, lambda tensor: tensor):
        loss = own.trained(own.trained.readout.collate(items, train=True))
    kept = sum(sizes.values())
    del loss
    return kept


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", METHODS)
def test_it_is_what_the_largest_batch_keeps(family: str, name: str, tmp_path: Path) -> None:
    own = stage(family, METHODS[name], tmp_path, batch_size=8)
    with own.trained.prompted:
        found = step_memory(own)
        ordered = sorted(own.items, key=lambda item: -item.length)
        kept = saved_by(own, ordered[:7] + ordered[-1:])
        trained = 4 * sum(one.nbytes for one in own.trained.parameters() if one.requires_grad)
    assert found is not None
    assert (found.rows, found.columns) == (8, ordered[0].length)
    assert kept * 0.95 < found.kept - trained < kept * 1.35
    assert trained < found.again <= found.kept


@pytest.mark.parametrize("consistency", ["none", "kl"])
def test_a_search_keeps_every_network_that_it_compares(
    consistency: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreseen: list[StepMemory | None] = []
    kept: list[int] = []
    own, looked = SearchTrainer.compute_loss, memory.step_memory

    def counting(self: Any, *given: Any, **more: Any) -> Any:
        weights = {one.data_ptr() for one in self.trained.prompted.backbone.parameters()}
        sizes: dict[int, int] = {}

        def see(tensor: torch.Tensor) -> torch.Tensor:
            if tensor.data_ptr() not in weights:
                sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(see, lambda tensor: tensor):
            loss = own(self, *given, **more)
        kept.append(sum(sizes.values()))
        return loss

    monkeypatch.setattr(SearchTrainer, "compute_loss", counting)
    monkeypatch.setattr(memory, "step_memory", lambda *given: foreseen.append(looked(*given)) or foreseen[-1])
    method = SPT(select="learned:2", consistency=consistency, num_virtual_tokens=2, bottleneck=8, search_share=1.0)
    run(tmp_path, "llama", method, batch_size=8, max_steps=4)
    found = foreseen[0]
    assert found is not None
    assert max(kept) * 0.9 < found.kept < max(kept) * 1.6
    assert found.again < found.kept


def test_looking_draws_nothing_and_leaves_every_mode(tmp_path: Path) -> None:
    own = stage("llama", METHODS["spt"], tmp_path)
    with own.trained.prompted:
        own.trained.eval()
        own.trained.readout.train()
        modes, chance = [part.training for part in own.trained.modules()], torch.get_rng_state()
        step_memory(own)
        assert [part.training for part in own.trained.modules()] == modes
        assert torch.equal(torch.get_rng_state(), chance)
        assert all(one.grad is None for one in own.trained.parameters())


def test_nothing_is_foreseen_of_features_that_are_kept(tmp_path: Path) -> None:
    own = stage("bert", HeadOnly(), tmp_path)
    with own.trained.prompted:
        assert step_memory(prepared(own, begins=True)) is None


@pytest.mark.parametrize(
    ("family", "name", "times"),
    [
        ("bert", "prompt_tuning", 1),
        ("t5", "p_tuning_v2", 1),
        ("llama", "spt", 1),
        ("llama", "spt", 4),  # rows come again, so that states below the prompt are kept
        ("gemma3", "behind", 4),  # and keys and values of texts before it
    ],
)
def test_layers_run_again_where_little_is_free_and_the_prompt_is_the_same(
    family: str,
    name: str,
    times: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    again: list[str] = []
    for folder, free in (("much", MUCH), ("little", FreeMemory(1 << 10, 1 << 50))):
        monkeypatch.setattr(memory, "free_memory", lambda _, free=free: free)
        run(tmp_path / folder, family, METHODS[name], progress=Progress(shown=True), max_steps=None, epochs=times)
        again.append(capsys.readouterr().err)
    assert "layers run again" not in again[0]
    assert times == 1 or all("computed once" in one for one in again)
    assert "memory: a step of 4 rows of up to" in again[0]
    assert "layers run again in the backward pass" in again[1]
    one, other = (load_file(tmp_path / folder / PROMPT) for folder in ("much", "little"))
    for tensor, value in one.items():
        close(other[tensor], value, 1e-4)
    recorded = json.loads((tmp_path / "little" / "run" / "metrics.json").read_text())
    assert "gradient_checkpointing" not in recorded["options"]["training"]  # nobody asked for it


def test_what_cannot_fit_is_refused_with_its_numbers_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda _: FreeMemory(100, 1000))
    with pytest.raises(SoftPromptError, match=r"a step of 4 rows of up to \d+ tokens keeps 0 MB or more, and 0 MB"):
        run(tmp_path, "llama", METHODS["prompt_tuning"])
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(memory, "free_memory", lambda _: None)  # a machine that does not tell
    run(tmp_path, "llama", METHODS["prompt_tuning"], max_steps=2)


def test_a_family_whose_layers_cannot_run_again_is_let_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda _: FreeMemory(1 << 10, 1 << 50))
    backbone = model("llama")
    monkeypatch.setattr(type(backbone), "supports_gradient_checkpointing", False)
    run(tmp_path, "llama", METHODS["prompt_tuning"], max_steps=2, progress=Progress(shown=True))
    assert "layers run again" not in capsys.readouterr().err


def test_it_is_told_in_one_line() -> None:
    found = StepMemory(16, 64, 1_300_000_000, 100_000_000, FreeMemory(3_000_000_000, 4_000_000_000))
    assert str(found) == "memory: a step of 16 rows of up to 64 tokens keeps 1.3 GB, 3.0 GB are free"
    assert not found.is_tight
    assert replace(found, free=FreeMemory(1_900_000_000, 9_000_000_000)).is_tight
    with pytest.raises(
        SoftPromptError, match=r"keeps 1\.3 GB or more, and 1\.2 GB of memory are free: take fewer rows"
    ):
        replace(found, free=FreeMemory(10, 1_200_000_000)).check(again=False)
    replace(found, free=FreeMemory(10, 1_200_000_000)).check(again=True)
