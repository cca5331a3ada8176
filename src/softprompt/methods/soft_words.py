r"""Soft words: the words of human prompts, moved; and a mixture of several such prompts.

Qin and Eisner, "Learning How to Ask: Querying LMs with Mixtures of Soft Prompts", NAACL 2021,
<https://arxiv.org/abs/2104.06599>. For a prompt t with T words of its own around the row's text and the answer's place:

    h_j^0 = embedding_j + Delta_0j,    h_j^i = layer_i(h^{i-1})_j + Delta_ij    (j one of the T words, i = 1..N)
    p(y | x) = sum_t w_t p(y | t, x)

Site `hidden`: the states that enter layer i at the words are those of the layer below plus Delta_i. All Delta start at
zero, so that training starts from the human prompts exactly. Delta_0 is added behind the embedding's own norm and
positions, as in the official code. Trained and stored: (N + 1) * T * d a prompt (T * d where `deep` is off), and R
weights. Like the official code this counts Delta_N, behind the last layer; no answer can feel it, since nothing reads
the words' last states.

The virtual tokens are the words of all R prompts; a row holds those of one, and the others masked. The mixture is the
readout `softprompt.readouts.mixture.Pool`, which holds the weights, asks all prompts in one batch and says how the
weights are learned. Decided here: those words alone that `prompts` names (by default the task's own template, R = 1);
p(y | t, x) over the label words unless loss='vocabulary' (the paper's, and the default for facts) is chosen; weights
that do not depend on x.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from softprompt.backbones.anatomy import BackboneKind
from softprompt.backbones.heads import ReadoutName
from softprompt.methods.base import BuildContext, Method, Recipe
from softprompt.methods.parts.lists import split_at
from softprompt.methods.parts.prompt_file import PROMPTS_OF_FILE
from softprompt.methods.registry import register
from softprompt.sites.producer import Producer, View


@register
class SoftWords(Method):
    """Human prompts' words with trained changes in every layer, mixed (Qin and Eisner, 2021)."""

    name: ClassVar[str] = "soft_words"
    title: ClassVar[str] = "Learning How to Ask: Querying LMs with Mixtures of Soft Prompts"
    url: ClassVar[str] = "https://arxiv.org/abs/2104.06599"
    site: ClassVar[str] = "hidden"
    evidence: ClassVar[str] = "official code and abstract; its tables could not be read"
    course: ClassVar[str] = "mixture"
    recipes: ClassVar[dict[str, Recipe]] = {
        "encoder": Recipe(
            1e-3,
            "the official configuration (Adam, at most 16 epochs)",
            epochs=16,
            batch_size=32,
            head_learning_rate=0.03,
            measured_on=("bert",),
        ),
        "encoder-decoder": Recipe(
            0.3,
            "our choice: prompt tuning's rate",
            optimizer="adafactor",
            schedule="constant",
            head_learning_rate=0.03,
            measured_on=(),
        ),
        "default": Recipe(
            0.03, "our choice: prompt tuning's rate on Gemma 3 270M", head_learning_rate=0.03, measured_on=()
        ),
    }

    prompts: Annotated[tuple[str, ...], split_at(";;"), PROMPTS_OF_FILE] = Field(
        (),
        description="templates whose words are trained, or names of the task's patterns, one a member of the mixture; "
        "default: the task's own; ;; stands between them, or @FILE::RELATION names a file of them (LAMA, LPAQA)",
    )
    deep: bool = Field(True, description="change the words in every layer, not in the input alone")

    def build(self, context: BuildContext) -> Producer:
        """Make the changes, zeros of shape `(N + 1, P, H)`, or `(1, P, H)`; P counts the words of all prompts."""
        pool = tuple((source, context.words_of(source)) for source in self.prompts)
        words = context.rows([token for _, ids in pool for token in ids])
        layers = context.anatomy.num_layers if self.deep else 0
        return Changes(words, torch.zeros(layers + 1, len(words), context.anatomy.hidden_size), pool)

    def readout(self, kind: BackboneKind, *, has_lm_head: bool) -> ReadoutName:
        """Label words always: the mixture is one of their probabilities."""
        return "mask" if kind == "encoder" else "text"


class Changes(Producer):
    """Delta, shape `(N + 1, P, H)` or `(1, P, H)`, on fixed words `(P, E)`, which are read off the backbone again."""

    static = True

    def __init__(self, words: Tensor, rows: Tensor, pool: tuple[tuple[str, tuple[int, ...]], ...]) -> None:
        super().__init__()
        self.words = nn.Buffer(words, persistent=False)
        self.table = nn.Parameter(rows)
        self.pool = pool
        self.count = len(words)
        self.hidden_layers = frozenset(range(max(len(rows) - 1, 1)))

    def embed(self, view: View) -> Tensor:
        """The words' own vectors, `(P, E)`."""
        return self.words

    def rewrite(self, layer: int, view: View) -> Tensor:
        """The words' states plus Delta, `(U, P, H)`."""
        return view.at_slots + self.table[layer]
