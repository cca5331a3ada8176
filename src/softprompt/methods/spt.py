r"""SPT, selective prompt tuning: generated prompts at the layers that training chooses.

Zhu and Tan, "SPT: Learning to Selectively Insert Prompts for Better Prompt Tuning", EMNLP 2023,
<https://arxiv.org/abs/2310.20127>. With P~_l the slots as the layer below made them, H_l the text's states that enter
layer l, and a_l = sigmoid(g_l) a gate:

    P_l = (1 - tau a_l) P~_l + tau a_l G_l(H_l)        replace (tau = 1) or average (tau = 1/2)
    P_l = P~_l + a_l G_l(H_l)                          add
    G_l(H) = B_l + W_up relu(Pool_k(W_down n(H) + b_down)),   G_0 a free table in R^{k x d}

B_l is a row for each of the k vectors and n(h) = h / rms(h); with `init="linear"` B_l is one bias and n is left out.

Site `hidden`. SPT-DARTS looks for the gates, min_g L_val(w*(g), g) with w*(g) = argmin_w L_train(w, g), first order:
one half of the rows moves the generators, the other the gates (`training/courses/layer_search.py`). Then the K
likeliest stay with a_l = 1, are drawn anew and trained on everything. Stored: K (2 d m + m + k d)
scalars, or k d at the embedding.

Verified (abstract, and the first author's later papers): gates at every layer, generators a layer, the bi-level search
with a consistency term, a forward value that is decoupled from the gradient, 8 layers and m = 256 in ALoRA's
comparison, two plain maps a generator. The paper's body and code could not be read; decided here, each an option: the
pooling (LPT's, whose code is known), the gate's form, the recursion, k = 10, the free table before layer 0, the
consistency term and its weight. The slots are part of the sequence from the first layer on: below the lowest chosen
layer they hold the mean word embedding (P~_0), and at a layer that is left out they go on as the layer below made them.
Generators read the conditioning text alone, so on causal models the prompt is fixed when the text was read.

Where generators start is decided here, too. As torch draws linear layers (`init="linear"`, LPT's), every layer's prompt
starts as noise that the layer's norm blows up to the length of a state; on Gemma 3 270M that ended near chance. So B_l
starts at the frozen model's own states of words, W_up at zero, states are read at one length, and what makes a layer's
vectors moves at a rate in the units of that layer's states, which grow a thousandfold over Gemma's layers.

The recipes are ours. Of LPT's scripts on RoBERTa-large and GPT-2 large they have rate and warm-up alone: there nothing
scales a generator's rate, weight decay is 0.1, and a step has 32 rows. The preset `spt-lpt` trains as the scripts do.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from softprompt.methods.base import BuildContext, Needs, Recipe
from softprompt.methods.parts import tables
from softprompt.methods.parts.generators import Generator, LevelGenerator, Pool, sentence_token
from softprompt.methods.parts.layers import LayerPrompt, OverLayers
from softprompt.methods.registry import register
from softprompt.sites.producer import Producer, View

POOLS: dict[str, Pool | None] = {"average": "average", "max": "max", "token": None}


@register
class SPT(OverLayers):
    """Generated prompts at learned layers (Zhu and Tan, 2023)."""

    name: ClassVar[str] = "spt"
    title: ClassVar[str] = "SPT: Learning to Selectively Insert Prompts for Better Prompt Tuning"
    url: ClassVar[str] = "https://arxiv.org/abs/2310.20127"
    site: ClassVar[str] = "hidden"
    evidence: ClassVar[str] = (
        "abstract and the first author's later papers; the body and the code could not be read: SPT-style, what is "
        "decided here is listed on the method's page"
    )
    needs: ClassVar[Needs] = {**OverLayers.needs, "tau": ("combine", ("replace",)), "init_std": ("init", ("linear",))}
    recipes: ClassVar[dict[str, Recipe]] = {
        "encoder": Recipe(
            1e-3,
            "ours, with rate and warm-up of LPT's script on RoBERTa-large",
            warmup_ratio=0.06,
            epochs=60,
            measured_on=(),
        ),
        "gpt2": Recipe(
            5e-4, "ours, with rate and warm-up of LPT's script on GPT-2 large", warmup_ratio=0.06, measured_on=()
        ),
        "gemma3_text": Recipe(
            3e-4,
            "measured on Gemma 3 270M: 1e-4 to 3e-3 on rows of SST-2 that no figure uses",
            warmup_ratio=0.06,
            measured_on=("gemma3_text",),
        ),
        "default": Recipe(1e-3, "ours, with LPT's rate on RoBERTa-large", warmup_ratio=0.06, measured_on=()),
    }

    select: str = Field("learned", description="the layers, as in every method over layers; the paper's is learned")
    num_virtual_tokens: int = Field(10, ge=1, description="k, the vectors of the prompt")
    pool: Literal["average", "max", "token"] = Field(
        "average", description="of the text: adaptive average or max, or one token (first on encoders, else last)"
    )
    bottleneck: int = Field(256, ge=1, description="m, the width of a generator")
    embedding: Literal["free", "generated"] = Field("free", description="before layer 0: a table or a generator")
    combine: Literal["replace", "add"] = Field("replace", description="with the slots that come from below")
    tau: float = Field(1.0, gt=0, le=1, description="combine=replace: share of the new prompt")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout on the generated vectors")
    init: Literal["words", "linear"] = Field(
        "words",
        description="generators in the units of each layer that start at the frozen model's states of words, or maps "
        "of the raw states as torch draws them (LPT's)",
    )
    init_std: float = Field(0.02, ge=0, description="init='linear': standard deviation of the free table")

    def build(self, context: BuildContext) -> Producer:
        """Make the generators of the chosen layers, fp32."""
        return Generated(self, self.selection.of(context.anatomy.num_layers), context)


class Generated(LayerPrompt):
    """A prompt `(k, H)` before each chosen layer: of a generator, or before layer 0 a table."""

    def __init__(self, options: SPT, layers: tuple[int, ...], context: BuildContext) -> None:
        super().__init__(layers, context)
        self.count = options.num_virtual_tokens
        self.share = options.tau if options.combine == "replace" else None
        pool = POOLS[options.pool] or sentence_token(context.anatomy.kind)
        width, dropout = options.bottleneck, options.dropout
        worded, free = options.init == "words", options.embedding == "free" and 0 in layers
        shape = context.anatomy.num_layers, self.count, context.anatomy.hidden_size
        read = worded and not context.blank
        words = tables.word_states(self.count, context) if read else torch.zeros(shape)
        self.sizes = tables.state_sizes(context) if worded else []

        def generator(layer: int) -> Generator:
            if not worded:
                return Generator(pool, self.count, width, context, dropout=dropout)
            # What is added to the slots starts at nothing.
            start = words[layer] if options.combine == "replace" else torch.zeros_like(words[layer])
            return LevelGenerator(start, pool, width, context, dropout=dropout)

        rows = words[0] if worded else tables.normal(words[0].shape, options.init_std, context)
        self.table = nn.Parameter(rows.clone()) if free else None
        self.generators = nn.ModuleDict({str(layer): generator(layer) for layer in layers if layer or not free})

    def rates(self) -> dict[str, float]:
        """What makes a layer's vectors moves in the units of its states."""
        sizes = {name: self.sizes[int(name)] for name in self.generators} if self.sizes else {}
        return {f"generators.{name}.{part}": size for name, size in sizes.items() for part in ("start", "up.weight")}

    def rewrite(self, layer: int, view: View) -> Tensor:
        """P_l with an open gate, shape `(U, k, H)`."""
        made: Tensor = self.generators[str(layer)](view) if str(layer) in self.generators else self._free()
        if self.share is None:
            return view.at_slots + made
        return made if self.share == 1 else (1 - self.share) * view.at_slots + self.share * made

    def _free(self) -> Tensor:
        assert self.table is not None
        return self.table
