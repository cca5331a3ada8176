"""BLEU, chrF and ROUGE of written texts: what a text shares with the right ones, by sacrebleu and rouge-score.

- BLEU (Papineni et al., ACL 2002) is a value of a corpus: the n-grams that are shared, and the lengths, are summed over
  all rows first, each row against all of its right texts. Tokens and smoothing are sacrebleu's own (`13a`, `exp`).
- chrF (Popović, WMT 2015) is one as well; of several right texts the one that a row is nearest to counts.
- ROUGE (Lin, 2004) is the mean of the rows' F1, each against its best right text, with Porter's stemmer, as the code of
  Prefix-Tuning has it for summaries.

Values are shares from 0 to 1, where papers print percents.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from softprompt.errors import SoftPromptError

if TYPE_CHECKING:
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

Array: TypeAlias = NDArray[np.float64]
LIBRARIES = {"sacrebleu": "sacrebleu", "rouge_score": "rouge-score"}  # modules, and what brings them


def check_library(metric: str, module: str) -> None:
    """Raise `SoftPromptError` where the library of a metric is not installed; nothing is imported."""
    if importlib.util.find_spec(module) is None:
        raise SoftPromptError(f"metric {metric!r} takes {LIBRARIES[module]}: pip install 'softprompt[generation]'")


def bleu_counts(text: str, right: Sequence[str]) -> list[float]:
    """Shared n-grams, n-grams of the text (n = 1 to 4 each), its length, and the nearest length of a right text."""
    found = _bleu().sentence_score(text, list(right))
    return [*found.counts, *found.totals, found.sys_len, found.ref_len]


def bleu(sums: Array) -> Array:
    """BLEU of sums of such counts, `(..., 10)`."""
    return _each(sums, _bleu_of)


def chrf_counts(text: str, right: Sequence[str]) -> list[float]:
    """N-grams of characters (n = 1 to 6) of the text, of its nearest right text, and of both, for each n in turn."""
    # sacrebleu tells scores of sentences alone; its own bootstrap sums these, too.
    found: list[float] = _chrf()._extract_corpus_statistics([text], [[one] for one in right])[0]
    return found


def chrf(sums: Array) -> Array:
    """ChrF of sums of such counts, `(..., 18)`."""
    return _each(sums, lambda one: _chrf()._compute_score_from_stats(list(one)).score)


def rouge(kind: str) -> Callable[[str, str], float]:
    """F1 of two texts by one of ROUGE's kinds: `rouge1`, `rouge2` or `rougeL`."""
    return lambda text, right: float(_rouge(kind).score(right, text)[kind].fmeasure)


def _bleu_of(sums: Array) -> float:
    counts = [round(count) for count in sums.tolist()]
    return float(_bleu().compute_bleu(counts[:4], counts[4:8], counts[8], counts[9], smooth_method="exp").score)


def _each(sums: Array, score: Callable[[Array], float]) -> Array:
    flat = sums.reshape(-1, sums.shape[-1])
    return np.array([score(one) / 100 for one in flat]).reshape(sums.shape[:-1])


@cache
def _bleu() -> BLEU:
    check_library("bleu", "sacrebleu")
    from sacrebleu.metrics.bleu import BLEU  # takes a third of a second

    return BLEU(effective_order=True)  # which sentences want; the counts are the same


@cache
def _chrf() -> CHRF:
    check_library("chrf", "sacrebleu")
    from sacrebleu.metrics.chrf import CHRF

    return CHRF()


@cache
def _rouge(kind: str) -> RougeScorer:
    check_library(kind, "rouge_score")
    from rouge_score.rouge_scorer import RougeScorer  # imports nltk

    return RougeScorer([kind], use_stemmer=True)
