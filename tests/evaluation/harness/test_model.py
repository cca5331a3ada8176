"""The harness's requests to an attached prompt: equal in every batch, cut on the left, as stock where that is right.

What is checked against the harness's own model (`HFLM`) is checked at batch size 1 and with prompts that do not read
the text: there its missing mask does no harm.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tokenizers.processors import TemplateProcessing

from softprompt.attached.attach import attach
from softprompt.attached.model import PromptedModel
from softprompt.errors import SoftPromptError
from softprompt.evaluation.harness.asking import Pair

from ...shared.continuations import CAUSAL, chain
from ...shared.models import BOS, model, tokenizer
from ...shared.prompts import producer, tiny

pytest.importorskip("lm_eval", reason="pip install 'softprompt[lm-eval]'")

from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from softprompt.evaluation.harness.model import HarnessLM

TEXTS = ["w20 w21 w22 w23 w24 w25 w26 w27", "w30", "", "w40 w41 w42", "w50 w51 w52 w53 w54"]
ANSWERS = [" w60 w61", " w62", " w63 w64 w65", " w66", " w67 w68"]
UNTIL = {"until": ["w99"], "max_gen_toks": 3}


def requests(kind: str, *arguments: tuple[Any, ...]) -> list[Any]:
    return [Instance(kind, {}, one, place) for place, one in enumerate(arguments)]


PAIRS = requests("loglikelihood", *zip(TEXTS, ANSWERS, strict=True))
WHOLE = requests("loglikelihood_rolling", *[(f"{text}{answer}",) for text, answer in zip(TEXTS, ANSWERS, strict=True)])
ASKED = requests("generate_until", *[(text, UNTIL) for text in TEXTS if text])


def asked(prompted: PromptedModel, batch_size: int, **options: Any) -> tuple[list[Any], list[float], list[str]]:
    """All three kinds of request."""
    lm = HarnessLM(prompted, batch_size=batch_size, **options)
    return (
        lm.loglikelihood(PAIRS, disable_tqdm=True),
        lm.loglikelihood_rolling(WHOLE, disable_tqdm=True),
        lm.generate_until(ASKED, disable_tqdm=True),
    )


@pytest.mark.parametrize("name", CAUSAL)
def test_every_method_answers_alike_at_batch_1_and_8(name: str) -> None:
    with tiny("llama", name) as prompted:
        (pairs, whole, texts), (pairs8, whole8, texts8) = (asked(prompted, size, max_length=7) for size in (1, 8))
        assert [score for score, _ in pairs] == pytest.approx([score for score, _ in pairs8], abs=5e-4)
        assert [greedy for _, greedy in pairs] == [greedy for _, greedy in pairs8]
        assert whole == pytest.approx(whole8, abs=5e-4)
        assert texts == texts8
        assert any(texts)


@pytest.mark.parametrize("name", ["capt", "prompt_tuning", "p_tuning_v2", "ia3"])
def test_an_encoder_decoder_answers_alike_at_batch_1_and_8(name: str) -> None:
    with tiny("t5", name) as prompted:
        (pairs, whole, texts), (pairs8, whole8, texts8) = (asked(prompted, size, max_length=7) for size in (1, 8))
        assert [score for score, _ in pairs] == pytest.approx([score for score, _ in pairs8], abs=5e-4)
        assert whole == pytest.approx(whole8, abs=5e-4)
        assert texts == texts8


def stock(prompted: PromptedModel, batch_size: int = 1, max_length: int = 7) -> Any:
    """The harness's own model over an attached one."""
    return HFLM(
        pretrained=prompted,
        tokenizer=prompted.tokenizer,
        backend="causal",
        batch_size=batch_size,
        max_length=max_length,
        device="cpu",
    )


def opening() -> Any:
    """The tests' tokenizer with a token that opens each text, as Llama's has."""
    made = copy.deepcopy(tokenizer())
    made._tokenizer.post_processor = TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", BOS)])
    return made


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("name", ["prompt_tuning", "p_tuning_v2", "lora", "hard_prompt"])
def test_what_reads_no_text_scores_as_stock_does_row_by_row(name: str, opened: bool) -> None:
    backbone, own = model("llama"), opening() if opened else tokenizer()
    with attach(backbone, own, producer(backbone, name)) as prompted:
        theirs = stock(prompted)
        pairs, whole, texts = asked(prompted, 8, max_length=7)
        assert pairs == [pytest.approx(one, abs=5e-4) for one in theirs.loglikelihood(PAIRS, disable_tqdm=True)]
        assert whole == pytest.approx(theirs.loglikelihood_rolling(WHOLE, disable_tqdm=True), abs=5e-4)
        assert texts == theirs.generate_until(ASKED, disable_tqdm=True)


def test_what_reads_the_text_moves_with_the_batch_in_stock_alone() -> None:
    """The reason for a model of our own."""
    with tiny("llama", "capt") as prompted:
        alone, together = (stock(prompted, size, 64).loglikelihood(PAIRS, disable_tqdm=True) for size in (1, 8))
        assert max(abs(one[0] - other[0]) for one, other in zip(alone, together, strict=True)) > 0.01


def test_a_long_context_is_cut_on_the_left() -> None:
    """To `max_length` ids that are read and one that is predicted, so that its beginning makes no difference."""
    long, short = requests("loglikelihood", ("w20 w21 w22 w23 w24", " w60 w61"), ("w22 w23 w24", " w60 w61"))
    written = [requests("generate_until", (text, UNTIL))[0] for text in ("w20 w21 w22 w23 w24", "w21 w22 w23 w24")]
    with tiny("llama", "capt") as prompted:
        lm = HarnessLM(prompted, batch_size=2, max_length=4)
        one, other = lm.loglikelihood([long, short], disable_tqdm=True)
        assert one == pytest.approx(other, abs=1e-4)
        lm = HarnessLM(prompted, batch_size=2, max_length=7)
        assert len(set(lm.generate_until(written, disable_tqdm=True))) == 1


def test_a_rolling_text_is_the_sum_of_its_windows() -> None:
    """Windows of three ids that are read; each is a pair whose context alone conditions the prompt."""
    end = tokenizer().bos_token_id
    windows = [((end,), (20, 21, 22)), ((22,), (23, 24, 25)), ((24, 25), (26, 27))]
    with tiny("llama", "capt") as prompted:
        lm = HarnessLM(prompted, batch_size=8, max_length=3)
        found = lm.loglikelihood_rolling(requests("loglikelihood_rolling", (TEXTS[0],)), disable_tqdm=True)
        own = [chain(prompted, Pair(*window))[0] for window in windows]
    assert found == pytest.approx([sum(own)], abs=5e-4)


@pytest.mark.parametrize(("name", "taken"), [("prompt_tuning", 4), ("p_tuning_v2", 3), ("capt", 1), ("lora", 0)])
def test_a_text_leaves_room_for_the_prompt(name: str, taken: int) -> None:
    positions = model("gpt2").config.max_position_embeddings
    with tiny("gpt2", name) as prompted:
        lm = HarnessLM(prompted)
        assert lm.max_length == positions - taken
        words = " ".join(["w20"] * (2 * positions))
        assert lm.loglikelihood(requests("loglikelihood", (words, " w60")), disable_tqdm=True)[0][0] < 0
        assert lm.generate_until(requests("generate_until", (words, UNTIL)), disable_tqdm=True)
        with pytest.raises(
            SoftPromptError, match=f"max_length={positions}: .* give at most {lm.max_length}" if taken else "x"
        ):
            HarnessLM(prompted, max_length=positions + (not taken))


def test_what_cannot_be_asked_is_one_line() -> None:
    with (
        tiny("bert", "capt") as prompted,
        pytest.raises(SoftPromptError, match="an encoder does not know: use evaluate"),
    ):
        HarnessLM(prompted)
    with (
        tiny("llama", "soft_words") as prompted,
        pytest.raises(SoftPromptError, match="stands for the words of its own"),
    ):
        HarnessLM(prompted)
    with tiny("llama", "capt") as prompted:
        for options in ({"batch_size": "auto"}, {"max_length": 0}):
            (name,) = options
            with pytest.raises(SoftPromptError, match=f"{name}=.*: give a whole number of at least 1"):
                HarnessLM(prompted, **options)
        lm = HarnessLM(prompted, max_length=4)
        with pytest.raises(SoftPromptError, match="a continuation has no tokens"):
            lm.loglikelihood(requests("loglikelihood", ("w20", "")), disable_tqdm=True)
        with pytest.raises(SoftPromptError, match="a continuation has 5 tokens, and a text may have 4"):
            lm.loglikelihood(requests("loglikelihood", ("w20", " w6" * 5)), disable_tqdm=True)
        with pytest.raises(SoftPromptError, match="a task asks for 4 new tokens, and a text may have 4 with them"):
            lm.generate_until(requests("generate_until", ("w20", {"max_gen_toks": 4})), disable_tqdm=True)


def test_of_several_prompts_the_named_one_is_asked() -> None:
    backbone = model("llama")
    prompts = {name: producer(backbone, name) for name in ("capt", "prompt_tuning")}
    with attach(backbone, tokenizer(), prompts) as prompted:
        found = asked(prompted, 8, prompt="prompt_tuning")[0]
        with pytest.raises(SoftPromptError, match="2 prompts are attached"):
            HarnessLM(prompted)
    with tiny("llama", "prompt_tuning") as prompted:
        assert found == [pytest.approx(one, abs=1e-4) for one in asked(prompted, 8)[0]]
