"""Facts: probabilities, ranks and losses re-derived from the backbone's logits; prompts that learn them."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from softprompt.errors import SoftPromptError
from softprompt.evaluation.score import metrics_of
from softprompt.methods import HardPrompt, SoftWords
from softprompt.readouts.vocabulary_words import VocabularyWords, candidates_of
from softprompt.tasks import Row, Task
from softprompt.tasks.text.encoding import continuation
from softprompt.training.run import open_run, train

from ..shared.models import MASK, UNK, VOCABULARY, model, tokenizer
from ..shared.readouts import answers, made
from ..shared.tokenizers import byte_level, word_piece

FACTS = [("w20 w21", "w30"), ("w22", "w31"), ("w23", "w32 w33"), ("w24", "w34"), ("w25", "nowhere")]
WORDS = tuple(f"w{n}" for n in range(28, 60))
BORN = "w60 {subject} w61 {mask}"


def task(vocabulary: tuple[str, ...] = WORDS, template: str = BORN) -> Task:
    return Task(kind="fact", name="born", template=template, vocabulary=vocabulary)


def rows_of(one: Task) -> list[Row]:
    return [Row({"subject": subject}, label, answers=(label,)) for subject, label in FACTS]


def logits_of(family: str, template: str = BORN) -> list[torch.Tensor]:
    """Of the backbone alone, at the mask or behind the text, of ids that are written down here."""
    found = []
    for subject, _ in FACTS:
        words = template.replace("{subject}", subject).split()
        ids = [MASK if word == "{mask}" else int(word[1:]) for word in words]
        place = ids.index(MASK)
        shown = ids if family == "bert" else ids[:place]
        with torch.no_grad():
            logits = model(family)(input_ids=torch.tensor([shown])).logits[0].double()
        found.append(logits[place if family == "bert" else place - 1])
    return found


@pytest.mark.parametrize("family", ["bert", "llama"])
@pytest.mark.parametrize("vocabulary", [WORDS, ()])
def test_answers_and_ranks_are_those_of_the_logits(family: str, vocabulary: tuple[str, ...]) -> None:
    ids = [int(word[1:]) for word in vocabulary] or [n for n in range(VOCABULARY) if n > UNK]
    prompted, readout = made(task(vocabulary), family, HardPrompt())
    with prompted:
        found = answers(prompted, readout, rows_of(task(vocabulary)))
    for one, logits, (_, label) in zip(found, logits_of(family), FACTS, strict=True):
        own = logits[ids].log_softmax(-1)
        order = own.argsort(descending=True).tolist()
        assert one.prediction == f"w{ids[order[0]]}"
        assert one.probabilities == pytest.approx((math.exp(own[order[0]]),), abs=1e-6)
        if " " in label or label == "nowhere":
            assert (one.rank, one.loss) == (0, None)
            continue
        place = ids.index(int(label[1:]))
        assert one.rank == 1 + order.index(place)
        assert one.loss == pytest.approx(-float(own[place]), abs=1e-5)


@pytest.mark.parametrize("loss", ["auto", "vocabulary", "labels"])
def test_the_loss_is_of_the_facts_that_can_be_answered(loss: str) -> None:
    prompted, readout = made(task(), "bert", HardPrompt(), loss=loss)
    items = [readout.encode(row) for row in rows_of(task())]
    assert [item.outside for item in items] == [False, False, True, False, True]
    with prompted, torch.no_grad():
        found = float(readout.loss(prompted, readout.collate(items, train=True)))
        assert float(readout.loss(prompted, readout.collate(items[2:3], train=True))) == 0
    ids = [int(word[1:]) for word in WORDS]
    own = []
    for logits, (_, label) in zip(logits_of("bert"), FACTS, strict=True):
        if " " not in label and label != "nowhere":
            among = logits[ids] if loss == "labels" else logits
            own.append(float(among.logsumexp(-1) - logits[int(label[1:])]))
    assert found == pytest.approx(sum(own) / 3, abs=1e-5)


def test_facts_outside_are_known_to_a_mixture() -> None:
    templates = ("w60 {subject} w61 {mask}", "{subject} w62 {mask}")
    _, readout = made(task(), "bert", SoftWords(prompts=templates))
    items = [readout.encode(row) for row in rows_of(task())]
    assert [item.outside for item in items] == [False, False, True, False, True]


def test_facts_outside_are_left_out_of_the_scores_and_counted() -> None:
    prompted, readout = made(task(), "bert", HardPrompt())
    rows = rows_of(task())
    with prompted:
        found = metrics_of(prompted, readout, task(), rows)
        ranks = [one.rank for one in answers(prompted, readout, rows) if one.rank]
        with pytest.raises(SoftPromptError, match="no right answer of its 1 rows is one token"):
            metrics_of(prompted, readout, task(), rows[2:3])
    assert (found["rows"], found["outside_vocabulary"]) == (3, 2)
    assert found["p_at_1"] == sum(rank == 1 for rank in ranks) / 3
    assert found["p_at_10"] == sum(rank <= 10 for rank in ranks) / 3
    assert found["mrr"] == pytest.approx(sum(1 / rank for rank in ranks) / 3)


def test_of_several_right_answers_the_best_counts_and_of_equal_ones_the_first() -> None:
    prompted, readout = made(task(), "bert", HardPrompt())
    assert isinstance(readout, VocabularyWords)
    row = Row({"subject": "w20"}, "w32 w33", answers=("w32 w33", "w30", "w28"))
    batch = readout.collate([readout.encode(row)])
    scores = torch.zeros(1, len(WORDS))
    scores[0, 2] = 1.0  # w30
    assert readout.outcomes_of(scores, batch)[0].rank == 1
    assert readout.outcomes_of(torch.zeros(1, len(WORDS)), batch)[0].rank == 1  # w28 is the first word
    only = readout.collate([readout.encode(Row({"subject": "w20"}, "w30", answers=("w30",)))])
    assert readout.outcomes_of(torch.zeros(1, len(WORDS)), only)[0].rank == 3


def test_a_mixture_of_prompts_mixes_probabilities() -> None:
    templates = (BORN, "{subject} w62 w63 {mask}")
    prompted, readout = made(task(), "bert", SoftWords(prompts=templates))
    with prompted:
        found = answers(prompted, readout, rows_of(task()))
    ids = [int(word[1:]) for word in WORDS]
    each = [[logits.softmax(-1)[ids] for logits in logits_of("bert", template)] for template in templates]
    for one, first, second, (_, label) in zip(found, *each, FACTS, strict=True):
        mixed = (first + second) / 2
        order = mixed.argsort(descending=True).tolist()
        assert one.prediction == WORDS[order[0]]
        if label in WORDS:
            assert one.rank == 1 + order.index(WORDS.index(label))


@pytest.mark.parametrize("method", ["soft_words", "p_tuning", "autoprompt", "p_tuning_v2"])
def test_prompts_learn_facts_and_are_opened_again(method: str, tmp_path: Path) -> None:
    template = "{subject}{prompt} {mask}" if method == "p_tuning" else BORN
    known = task(template=template).with_data([
        {"subject": f"w{70 + n % 9} w{80 + n // 9}", "label": f"w{30 + n % 3}" if n else "w30 w31"} for n in range(40)
    ])  # fmt: skip
    options: dict[str, Any] = {"autoprompt": {"rounds": 3}}.get(method, {})
    from softprompt.methods import method as method_of

    run = train(
        model("bert"), tokenizer(), known, method_of(method, **options), output=tmp_path / "run", progress=False,
        max_steps=3,
    )  # fmt: skip
    found = run.metrics["test"]
    assert 0 <= found["p_at_1"] <= found["mrr"] <= 1
    assert found["p_at_1"] <= found["p_at_10"]
    texts = ["w70 w80", "w71"]
    again = open_run(tmp_path / "run", model("bert"), tokenizer()).predict(texts)
    assert again == run.predict(texts)
    assert set(again) <= set(WORDS)


@pytest.mark.parametrize(
    ("family", "options", "part"),
    [
        ("t5", {}, "encoder or a causal model"),
        ("bert", {"readout": "head"}, "large vocabulary, which a head cannot give"),
    ],
)
def test_what_reads_no_vocabulary_is_refused(family: str, options: dict[str, Any], part: str) -> None:
    from softprompt.methods import method as method_of

    with pytest.raises(SoftPromptError, match=part):
        made(task(), family, method_of("prompt_tuning"), **options)
    with pytest.raises(SoftPromptError, match="0 of its 2 words are one token"):
        made(task(("w1 w2", "nowhere")), "bert", HardPrompt())


@pytest.mark.parametrize("space", [True, False])
def test_words_of_one_token_are_those_that_are_one_alone(space: bool) -> None:
    words = ("w30", "nowhere", "w31 w32", "w33", " w34 ", "w30 ")
    assert candidates_of(words, tokenizer(), VOCABULARY, space=space) == [30, 33, 34]
    for real in (byte_level(), word_piece()):
        texts = tuple(dict.fromkeys(text for token in range(len(real)) if (text := real.decode([token]).strip())))
        alone = []
        for text in texts:
            with suppress(SoftPromptError):
                alone.append(continuation(real, text, space=space))
        found = candidates_of(texts, real, len(real), space=space)
        assert found == list(dict.fromkeys(ids[0] for ids in alone if len(ids) == 1))
        assert 1 < len(found) <= len(texts)
