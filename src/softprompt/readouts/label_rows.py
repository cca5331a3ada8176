r"""Trained label rows over the feature of the language-model head: logits = V f + b.

Hambardzumyan, Khachatrian, May, "WARP: Word-level Adversarial ReProgramming", ACL 2021,
<https://arxiv.org/abs/2101.00121>: f in R^E is what the head's last matrix is applied to, after the head's own
transform (a masked model's dense layer, activation and norm), at the mask; V in R^{C x E} and b in R^C take the place
of that matrix and its bias. p(c | x) = softmax(V f + b)_c, and a regression has one row and a squared error.

V starts from the rows of the label words, the mean over their tokens (our choice where there are several), and b from
their biases, so that an untrained readout of one-token words is the language model's choice among them. A regression's
row starts at zero (our choice). Beyond the paper: a causal model's f is its last state, an encoder-decoder's the
decoder's state at the answer, scaled as its tied head scales it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from softprompt.backbones.heads import lm_head
from softprompt.readouts.base import Batch, Inputs, Outcome, inputs, numbers, squared_error
from softprompt.readouts.single_column import SingleColumn
from softprompt.sites.asking import Beneath
from softprompt.sites.attached import Attached, Rows
from softprompt.tasks.text.encoding import RowEncoder


class LabelRows(SingleColumn):
    """V, shape `(C, E)`, and b, shape `(C,)`, fp32.

    Args:
        row_encoder: encodes the text.
        weight: the first V.
        bias: the first b.
        filler: the padding id.
        bounds: of a regression, else None.
        decoder_ids: what an encoder-decoder's decoder reads before the answer, else None.
    """

    found = ()
    generates = False

    def __init__(
        self,
        row_encoder: RowEncoder,
        weight: Tensor,
        bias: Tensor,
        filler: int,
        *,
        bounds: tuple[float, float] | None,
        decoder_ids: tuple[int, ...] | None,
    ) -> None:
        super().__init__("rows", row_encoder, filler, bounds, decoder_ids)
        self.weight = nn.Parameter(weight.clone())
        self.bias = nn.Parameter(bias.clone())

    def outputs(self, prompted: Attached, batch: Batch, prompts: Rows = None) -> Tensor:
        """F at the answers' columns, fp32, shape `(rows, E)`."""
        given = inputs(prompted, batch, prompts)
        if "decoder_input_ids" in batch:
            given["decoder_input_ids"] = batch["decoder_input_ids"]
        return head_features(prompted, given, batch["columns"])

    def scores(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Log-probabilities of the classes, or a regression's number on the unit interval."""
        logits = nn.functional.linear(outputs, self.weight, self.bias)
        return logits if self.bounds else logits.log_softmax(-1)

    def loss_of(self, scores: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy, or the squared error of a regression."""
        return squared_error(scores, batch, self.bounds) if self.bounds else super().loss_of(scores, batch)

    def outcomes_of(self, scores: Tensor, batch: Batch) -> list[Outcome]:
        """The class with the largest logit, or the number."""
        return numbers(scores, batch, self.bounds) if self.bounds else super().outcomes_of(scores, batch)

    @torch.no_grad()
    def stored(self) -> dict[str, Tensor]:
        """V and b."""
        return {"head.weight": self.weight.detach(), "head.bias": self.bias.detach()}

    @torch.no_grad()
    def load_stored(self, tensors: dict[str, Tensor]) -> None:
        """Take V and b."""
        self.weight.copy_(tensors["head.weight"])
        self.bias.copy_(tensors["head.bias"])


def head_features(prompted: Attached, given: Inputs, columns: Tensor) -> Tensor:
    """What the head's last matrix is applied to, at one column a row: fp32, shape `(rows, E)`.

    The matrix itself is given no rows, so the vocabulary's logits are never computed.

    Args:
        prompted: the attached model.
        given: the keywords of its forward.
        columns: the user's columns, shape `(rows, 1)`.
    """
    found: list[Tensor] = []

    def take(call: object, beneath: Beneath, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        states = args[0]
        assert isinstance(states, Tensor)
        found.append(states)
        return beneath(states[..., :0, :], *args[1:], **kwargs)

    rows, conditioning = tuple(given["prompts"]), given.get("conditioning_mask")
    own = {name: value for name, value in given.items() if name not in ("prompts", "conditioning_mask")}
    head = lm_head(prompted.backbone)
    assert head is not None
    with prompted.calling(rows, conditioning, columns, around={head: take}):
        prompted.backbone(**own, use_cache=False)
    return found[0].reshape(len(rows), -1).float()
