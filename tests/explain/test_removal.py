"""The effect of a virtual token: the same prompt made by hand without it, scored on the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import softprompt as sp
from softprompt.attached.attach import attach, build
from softprompt.evaluation.score import Scores, metrics_of
from softprompt.explain.nearest import nearest_words
from softprompt.explain.removal import effects_of
from softprompt.methods import method as method_of
from softprompt.methods.instruction import InstructionWords
from softprompt.readouts import build_readout
from softprompt.sites.producer import Producer
from softprompt.tasks import Row

from ..shared.models import model, tokenizer
from ..shared.prompts import METHODS, fails
from ..shared.runs import run, task


def rows_of(folder: Path, **options: Any) -> list[Row]:
    return task(folder / "data", **options).splits(3).train[:6]


def by_hand(prompt: sp.Prompt, made: Producer, rows: list[Row], **changed: Any) -> Scores:
    """The metrics with another prompt in the place of the trained one, its readout made anew."""
    assert prompt.task is not None
    assert prompt.readout is not None
    assert prompt.readout_spec is not None
    readout = build_readout(prompt.task.model_copy(update=changed), prompt.backbone, made, prompt.readout_spec)
    if prompt.readout.stored():
        readout.load_stored(prompt.readout.stored())
    with attach(prompt.backbone, made) as prompted:
        return metrics_of(prompted, readout, prompt.task, rows)


def check(prompt: sp.Prompt, rows: list[Row], rank: int, without: Scores) -> None:
    removal, effects = effects_of(prompt, rows)
    assert removal.loss is not None
    assert effects[rank].loss == pytest.approx(without["loss"] - removal.loss, abs=1e-5)  # type: ignore[operator]
    assert effects[rank].metric == pytest.approx(without["accuracy"] - removal.value)  # type: ignore[operator]
    assert len(effects) == prompt.producer.footprint.count


def with_table(prompt: sp.Prompt, method: Any, rows: torch.Tensor) -> Producer:
    made = build(prompt.backbone, method, blank=True)
    made.load_stored({**prompt.producer.stored(), "table": rows})
    return made


@pytest.mark.parametrize("family", ["llama", "bert", "t5"])
@pytest.mark.parametrize("name", ["prompt_tuning", "dept"])
def test_a_token_removed_is_a_prompt_without_its_row(name: str, family: str, tmp_path: Path) -> None:
    method = method_of(name, num_virtual_tokens=4, **({"rank": 2, "max_positions": 8} if name == "dept" else {}))
    done, rows = run(tmp_path, family, method, max_steps=4, learning_rate=0.3), rows_of(tmp_path)
    table = done.prompt.producer.stored()["table"]
    for rank in (0, 2, 3):
        fewer = with_table(
            done.prompt, method.model_copy(update={"num_virtual_tokens": 3}), table[[i for i in range(4) if i != rank]]
        )
        check(done.prompt, rows, rank, by_hand(done.prompt, fewer, rows))


def test_places_that_a_template_counts_lose_the_one_of_the_token(tmp_path: Path) -> None:
    template = "{prompt:2} {text} {prompt:1} {mask}"
    method = sp.PromptTuning(num_virtual_tokens=3)
    trained = sp.train(
        model("bert"), tokenizer(), task(tmp_path / "data", template=template), method, output=tmp_path / "run",
        max_steps=3, batch_size=4, learning_rate=0.3, progress=False,
    )  # fmt: skip
    rows = rows_of(tmp_path, template=template)
    table = trained.prompt.producer.stored()["table"]
    two = method.model_copy(update={"num_virtual_tokens": 2})
    for rank, left in ((1, "{prompt:1} {text} {prompt:1} {mask}"), (2, "{prompt:2} {text}  {mask}")):
        fewer = with_table(trained.prompt, two, table[[i for i in range(3) if i != rank]])
        check(trained.prompt, rows, rank, by_hand(trained.prompt, fewer, rows, template=left))


def test_places_around_the_text_lose_the_one_of_the_token(tmp_path: Path) -> None:
    done, rows = run(tmp_path, "bert", method_of("warp", num_virtual_tokens=6), max_steps=3), rows_of(tmp_path)
    table = done.prompt.producer.stored()["table"]
    fewer = with_table(done.prompt, method_of("warp", num_virtual_tokens=5), table[[0, 1, 2, 4, 5]])
    assert done.prompt.producer.footprint.around == (2, 2, 1, 1)
    fewer.around = (2, 1, 1, 1)
    check(done.prompt, rows, 3, by_hand(done.prompt, fewer, rows))


def test_keys_and_values_beside_the_words_stay(tmp_path: Path) -> None:
    method = method_of("instruction", text="w21 w22 w23", prefix=2)
    done, rows = run(tmp_path, "llama", method, max_steps=3, learning_rate=0.3), rows_of(tmp_path)
    own = done.prompt.producer
    assert isinstance(own, InstructionWords)
    check(
        done.prompt,
        rows,
        1,
        by_hand(done.prompt, InstructionWords(own.table[[0, 2]], own.placement, 0.0, own.keys), rows),
    )


def test_without_its_only_token_a_prompt_is_none(tmp_path: Path) -> None:
    done, rows = run(tmp_path, "llama", sp.PromptTuning(num_virtual_tokens=1), max_steps=3), rows_of(tmp_path)
    check(done.prompt, rows, 0, by_hand(done.prompt, build(done.prompt.backbone, method_of("hard_prompt")), rows))


def test_every_pass_is_told_and_the_reading_holds_what_was_measured(tmp_path: Path) -> None:
    done, rows = run(tmp_path, "llama", sp.PromptTuning(num_virtual_tokens=3), max_steps=2), rows_of(tmp_path)
    ticks: list[int] = []
    found = nearest_words(done.prompt, rows=rows, tick=ticks.append)
    assert sum(ticks) == 4 * len(rows)
    removal, effects = effects_of(done.prompt, rows)
    assert found.removal == removal
    assert tuple(row.without for row in found.rows) == effects


def test_what_works_at_layers_has_no_single_tokens(tmp_path: Path) -> None:
    done = run(tmp_path, "bert", METHODS["soft_words"], max_steps=2)
    with fails("over layers"):
        effects_of(done.prompt, rows_of(tmp_path))
    with fails("give both"):
        effects_of(done.prompt, [])
