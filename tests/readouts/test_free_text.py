"""Free text is trained and generated."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice, product
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from softprompt.errors import SoftPromptError
from softprompt.readouts import ReadoutSpec
from softprompt.readouts.free_text import Beams, FreeText
from softprompt.tasks import Row, Task
from softprompt.training.options import TrainingOptions
from softprompt.training.run import train

from ..shared.models import EOS, model, tokenizer
from ..shared.prompts import METHODS
from ..shared.readouts import answers, ids_of, made


@pytest.mark.parametrize("family", ["llama", "gemma3", "t5", "bart"])
@pytest.mark.parametrize("method", ["capt", "p_tuning_v2"])
def test_free_text_is_trained_and_generated(family: str, method: str, tmp_path: Path) -> None:
    lines = [json.dumps({"text": f"w{30 + i} w21", "answer": "w10 w11"}) for i in range(60)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n")
    task = Task(kind="generation", template="{text} {mask}", metric="exact_match", columns={"label": ["answer"]})
    done = train(
        model(family), tokenizer(), task.with_data(tmp_path / "rows.jsonl"), METHODS[method], output=tmp_path / "run",
        progress=False, max_steps=2, max_new_tokens=4,
    )  # fmt: skip
    assert done.metrics["test"]["rows"] == 6
    texts = ["w30 w21", "w33 w34 w35 w21"]
    together = done.predict(texts)
    assert together == [done.predict([text])[0] for text in texts]


@pytest.mark.parametrize("family", ["llama", "gpt2", "t5", "bart"])
@pytest.mark.parametrize("lead", [(), (7,)])
def test_of_a_long_answer_the_beginning_is_taught_without_an_end(family: str, lead: tuple[int, ...]) -> None:
    task = Task(kind="generation", template="{text} {mask}", metric="exact_match")
    _, readout = made(task, family, METHODS["prompt_tuning"], max_new_tokens=3)
    assert isinstance(readout, FreeText)
    readout.lead, readout.max_new_tokens = lead, 3 + len(lead)
    end = (readout.end,)
    for answer, kept in (("w10 w11", "w10 w11"), ("w10 w11 w12", "w10 w11 w12"), ("w10 w11 w12 w13", "w10 w11 w12")):
        item = readout.encode(task.rows_of([{"text": "w20", "label": answer}])[0])
        whole = (*lead, *ids_of(answer), *end)
        limit = 3 + len(lead)
        assert item.targets == (whole[:limit],)
        assert item.targets[0][len(lead) :][:3] == (*ids_of(kept), *end)[:3]
        assert item.answer_cut == (len(whole) > limit)


def batched(texts: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """So many at a time (Python 3.10 has no `itertools.batched`)."""
    rest = iter(texts)
    while part := list(islice(rest, size)):
        yield part


def likeliest(prompted: Any, readout: FreeText, row: Row, tokens: int, power: float) -> tuple[int, ...]:
    """Of all texts of some tokens, an end among them, the one of the greatest log-likelihood for its length."""
    vocabulary = range(model("llama").config.vocab_size)
    texts: list[tuple[int, ...]] = [(readout.end,)]
    for count in range(1, tokens + 1):
        ended = (readout.end,) if count < tokens else ()
        texts += [(*ids, *ended) for ids in product([one for one in vocabulary if one != readout.end], repeat=count)]
    item = readout.encode(row)
    scores = []
    for part in batched(texts, 4096):
        items = [replace(item, targets=(ids,)) for ids in part]
        scores += readout.scorer.token_logs(prompted, readout.collate(items, train=True), None).sum(-1).tolist()
    return max(zip(texts, scores, strict=True), key=lambda pair: pair[1] / len(pair[0]) ** power)[0]


@pytest.mark.parametrize("power", [0.0, 1.0])
def test_enough_beams_find_the_likeliest_text(power: float) -> None:
    task = Task(kind="generation", template="{text} {mask}")
    wide = model("llama").config.vocab_size
    options = {"max_new_tokens": 2, "num_beams": wide, "length_penalty": power}
    prompted, readout = made(task, "llama", METHODS["p_tuning_v2"], **options)
    assert isinstance(readout, FreeText)
    rows = task.rows_of([{"text": "w20 w21 w22", "label": "w10"}, {"text": "w30", "label": "w10"}])
    with prompted:
        found = answers(prompted, readout, rows)
        expected = [likeliest(prompted, readout, row, 2, power) for row in rows]
        readout.beams = Beams()
        greedy = answers(prompted, readout, rows)
    decoded = tokenizer().batch_decode([list(ids) for ids in expected], skip_special_tokens=True)
    assert [one.prediction for one in found] == decoded
    assert [one.loss for one in found] == [one.loss for one in greedy]


class _Ends:
    """Ends the first row at its second token."""

    calls = 0

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == 2:
            scores = scores.clone()
            scores[0] = -1e9
            scores[0, EOS] = 0.0
        return scores


@pytest.mark.parametrize("family", ["llama", "bart"])
def test_what_fills_a_row_that_ended_before_others_is_no_part_of_its_text(family: str) -> None:
    task = Task(kind="generation", template="{text} {mask}")
    prompted, readout = made(task, family, METHODS["prompt_tuning"], max_new_tokens=4)
    assert isinstance(readout, FreeText)
    readout.filler = 20  # of a tokenizer without padding, whose first token is a word
    with prompted:
        prompted.generate = partial(prompted.generate, logits_processor=[_Ends()])
        first, second = (one.value for one in answers(prompted, readout, task.rows_of(["w20 w21", "w30 w31"])))
    assert len(str(first).split()) <= 1 < len(str(second).split())


def test_beams_are_refused_where_nothing_is_written(tmp_path: Path) -> None:
    rows = [{"text": f"w{n}", "label": "w10" if n % 2 else "w11"} for n in range(30, 60)]
    task = Task(template="{text} {mask}", labels=["w10", "w11"]).with_data(rows)
    with pytest.raises(SoftPromptError, match="num_beams and length_penalty are of texts that are written"):
        train(model("llama"), tokenizer(), task, "prompt_tuning", output=tmp_path / "run", progress=False, num_beams=2)


def test_beams_are_stored_with_the_prompt_and_not_where_there_are_none() -> None:
    values = {"name": "text", "loss": "auto", "pooling": "auto", "max_length": 9, "max_new_tokens": 2}
    assert not {"num_beams", "length_penalty"} & {*ReadoutSpec(**values).model_dump(), *TrainingOptions().model_dump()}
    spec = ReadoutSpec(**values, num_beams=5, length_penalty=0.8)
    assert ReadoutSpec.model_validate_json(spec.model_dump_json()) == spec
