"""The method that is taken where nobody names one, by kind of backbone: what did best in our measurements.

Of many rows a first run need not take hours: it makes fewer passes than the recipe, so that it has about as many steps
as those that were measured on few rows.

| kind | method | measured (`benchmarks/results/`) |
|---|---|---|
| decoder-only | prefix_tuning | Gemma 3 270M, SST-2 and TREC: 0.854 and 0.838, the best mean of frozen models |
| encoder without a language-model head | capt | MiniLM, MR, SST-2 and TREC, three draws, validation rows: 0.688, |
| | | within the error of the best, a deep prompt's 0.705, in six tenths of its time; P-Tuning v2 0.559, its head on |
| | | the mean 0.671 (`rates.md`) |
| encoder with one | p_tuning_v2 | not measured here; as published for BERT and RoBERTa, whose `[CLS]` is pre-trained |
| encoder-decoder | prompt_tuning | not measured here; Lester et al. introduced it on T5, with the recipe that it has |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from softprompt.backbones.anatomy import BackboneKind
from softprompt.backbones.backbone import Backbone
from softprompt.methods.base import Method, Recipe
from softprompt.methods.registry import method

STEPS = 360  # the most that a measured run took
_LEAST = 3  # passes over the training rows, however many these are


@dataclass(frozen=True)
class DefaultMethod:
    """A method that nobody named.

    Attributes:
        method: with its own defaults.
        why: it is the default.
    """

    method: Method
    why: str

    @property
    def told(self) -> str:
        """Which it is and why, in a line."""
        return f"method: {self.method.name} (the default {self.why})"


_BY_KIND: Mapping[BackboneKind, tuple[str, str]] = {
    "causal": ("prefix_tuning", "for decoder-only models: the best mean of two tasks on Gemma 3 270M"),
    "encoder": ("p_tuning_v2", "for masked language models, as published for BERT and RoBERTa; not measured here"),
    "encoder-decoder": ("prompt_tuning", "for encoder-decoders, as published for T5; not measured here"),
}
# A head on [CLS] suits models that learned to write there, which most sentence encoders did not.
_SENTENCES = ("capt", "for encoders without a language-model head: as good as the best of three tasks on MiniLM")
# Trained words enter at the input, which every model has.
_ANYWHERE = ("prompt_tuning", "where a model takes no keys and values")


def default_method(backbone: Backbone) -> DefaultMethod:
    """The default for a model.

    Example:
        >>> from softprompt.methods.default import default_method
        >>> default_method(sp.Backbone(model, tokenizer)).told
        'method: prefix_tuning (the default for decoder-only models: the best mean of two tasks on Gemma 3 270M)'
    """
    kind = backbone.anatomy.kind
    name, why = _SENTENCES if kind == "encoder" and not backbone.has_lm_head else _BY_KIND[kind]
    chosen = method(name)
    if backbone.refusal(chosen.site) is not None or chosen.refusal(backbone.anatomy) is not None:
        name, why = _ANYWHERE
    return DefaultMethod(method(name), why)


def passes(recipe: Recipe, rows: int, batch_size: int) -> int:
    """How often a default method goes over its training rows: as its recipe says, but in about `STEPS` steps.

    Example:
        >>> from softprompt.methods.default import passes
        >>> [passes(sp.Recipe(0.01, "ours", epochs=20), rows, 16) for rows in (32, 800, 100_000)]
        [20, 7, 3]
    """
    return min(recipe.epochs, max(_LEAST, STEPS // max(1, ceil(rows / batch_size))))
