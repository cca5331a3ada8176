"""BLEU and chrF against sacrebleu's corpus scores, ROUGE against rouge-score and a derivation written here."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from softprompt.errors import SoftPromptError
from softprompt.tasks import Row, Task, evaluate
from softprompt.tasks.scoring import rows_scored
from softprompt.training.run import train

from ..shared.models import model, tokenizer
from ..shared.tables import told

NAMES = ("bleu", "chrf", "rouge1", "rouge2", "rougeL")
TASK = Task(template="{a}", kind="generation", metrics=NAMES)
WORDS = ("The", "blue", "pub", ",", "near", "a", "river", "serves", "cheap", "Italian", "food", "and", "cats", ".")


def corpus(rows: int = 30, seed: int = 0) -> tuple[list[Row], list[str]]:
    """Rows with one to four right texts, some of them long, and texts that share some of their words."""
    draw = random.Random(seed)
    made = [
        [" ".join(draw.choices(WORDS, k=draw.randint(3, 25))) for _ in range(draw.randint(1, 4))] for _ in range(rows)
    ]
    guesses = [" ".join(word for word in draw.choice(texts).split() if draw.random() < 0.8) for texts in made]
    return [Row({}, texts[0], answers=tuple(texts), index=i) for i, texts in enumerate(made)], guesses


def streams(rows: list[Row]) -> list[list[str | None]]:
    """References as sacrebleu takes them: the n-th of each row in the n-th list, None where there are fewer."""
    most = max(len(row.answers) for row in rows)
    return [[row.answers[n] if n < len(row.answers) else None for row in rows] for n in range(most)]


def test_bleu_and_chrf_are_those_of_the_corpus() -> None:
    rows, guesses = corpus()
    found = evaluate(TASK, rows, guesses)
    assert found["bleu"] == pytest.approx(BLEU().corpus_score(guesses, streams(rows)).score / 100)
    assert found["chrf"] == pytest.approx(CHRF().corpus_score(guesses, streams(rows)).score / 100)
    each = [
        BLEU(effective_order=True).sentence_score(g, list(r.answers)).score / 100
        for g, r in zip(guesses, rows, strict=True)
    ]
    assert abs(found["bleu"] - np.mean(each)) > 0.01  # a mean of sentences is another figure
    low, high = found["interval"]
    assert 0 < low < found["bleu"] < high < 1


@pytest.mark.parametrize("guess", ["", "river", "zz zz zz zz zz"])
def test_texts_that_share_little_or_nothing(guess: str) -> None:
    rows = [Row({}, "x", answers=("The pub near a river .",))]
    found = evaluate(TASK, rows, [guess])
    assert found["bleu"] == pytest.approx(BLEU().corpus_score([guess], [list(rows[0].answers)]).score / 100)
    assert found["chrf"] == pytest.approx(CHRF().corpus_score([guess], [list(rows[0].answers)]).score / 100)
    assert found["rouge1"] == pytest.approx({"river": 2 * 1 / (1 + 5)}.get(guess, 0))


def test_rouge_is_the_mean_of_the_best_right_text() -> None:
    rows, guesses = corpus(seed=1)
    found = evaluate(TASK, rows, guesses)
    for kind in ("rouge1", "rouge2", "rougeL"):
        scorer = RougeScorer([kind], use_stemmer=True)
        best = [
            scorer.score_multi(list(row.answers), guess)[kind].fmeasure
            for row, guess in zip(rows, guesses, strict=True)
        ]
        assert found[kind] == pytest.approx(np.mean(best))
        assert rows_scored(TASK.model_copy(update={"metrics": (kind,)}), rows, guesses) == pytest.approx(best)


def test_rouge_1_as_it_is_defined_on_stems() -> None:
    shared = 4  # the, cat, run, park
    rows = [Row({}, "x", answers=("nothing", "The cats running in the park."))]
    assert evaluate(TASK, rows, ["the cat runs to parks"])["rouge1"] == pytest.approx(2 * shared / (6 + 5))


def test_the_parts_of_a_test_set_have_their_own_scores() -> None:
    rows, guesses = corpus(20, seed=2)
    seen, unseen = rows[:12], rows[12:]
    parted = [Row(row.fields, row.label, answers=row.answers, part="seen" if row in seen else "unseen") for row in rows]
    found = evaluate(TASK, parted, guesses)
    whole = evaluate(TASK, rows, guesses)
    assert {name: found[name] for name in (*NAMES, "interval")} == {name: whole[name] for name in (*NAMES, "interval")}
    for name in NAMES:
        assert found[f"{name}.seen"] == evaluate(TASK, seen, guesses[:12])[name]
        assert found[f"{name}.unseen"] == evaluate(TASK, unseen, guesses[12:])[name]
        assert f"{name}.seen" not in whole


@pytest.mark.parametrize(
    ("metric", "module"), [("bleu", "sacrebleu"), ("chrf", "sacrebleu"), ("rougeL", "rouge_score")]
)
def test_without_its_library_the_extra_is_named_before_the_training(
    metric: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"text": f"w{n} w21", "label": "w10"} for n in range(30)]
    task = Task(template="{text} {mask}", kind="generation", metric=metric).with_data(rows)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SoftPromptError) as error:
        train(model("gpt2"), tokenizer(), task, "prompt_tuning", output=tmp_path / "run", progress=False, max_steps=1)
    told(error, metric, module.replace("_", "-"), "pip install 'softprompt[generation]'")
    assert not (tmp_path / "run").exists()
