r"""VFPT: deep prompts of which a part passes through a Fourier transform.

Zeng et al., "Visual Fourier Prompt Tuning", NeurIPS 2024, <https://arxiv.org/abs/2411.01327>; for images. CaPT's paper
has it as a baseline on text.

    H^i = L_i([Re F(P^i_{1..m}); P^i_{m+1..k}; H^{i-1}]),   F = F_tokens(F_features(.)),   m = floor(fraction * k)

Site `hidden`: before each layer the k slots are overwritten by that layer's rows, the first m of them transformed along
both axes of their table `(m, d)`, or along one. `select="input"` is the paper's shallow form. No parameter is added:
N k d scalars are trained, and N k d stored, the rows after the transform.

From the official code: the transform's real part alone, the share of 0.5, the transformed rows first, its plain sum
(`norm="backward"`), neither projection nor dropout. Decided here: `norm="ortho"` by default, and where training starts.
The sum is sqrt(m d) times as long as what it is made of; the first norm of a pre-norm layer takes that out again, but
a post-norm layer does not, and a step of one size would move the rows of one prompt at two speeds.

The first values are deep prompts' own states of words W, as near as the form allows. What Re F gives is the same at
(u, v) and at (-u, -v), counted modulo m and d, so the nearest is the even part of W, which Re F makes of W's own real
transform: C C W = (W + W_mirrored) / 2, for C = Re F with norm="ortho".
"""

from __future__ import annotations

from typing import ClassVar, Literal, TypeAlias

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from softprompt.methods.base import BuildContext, Needs, Recipe
from softprompt.methods.deep_prompt import DeepPrompt, LayerTable
from softprompt.methods.registry import register
from softprompt.sites.producer import Producer, View

Axes: TypeAlias = Literal["both", "tokens", "features"]
Norm: TypeAlias = Literal["ortho", "backward", "forward"]
_AXES = {"both": (-2, -1), "tokens": (-2,), "features": (-1,)}
_INVERSE: dict[Norm, Norm] = {"ortho": "ortho", "backward": "forward"}


@register
class VFPT(DeepPrompt):
    """Deep prompts with a part in the frequency domain (Zeng et al., 2024)."""

    name: ClassVar[str] = "vfpt"
    title: ClassVar[str] = "Visual Fourier Prompt Tuning"
    url: ClassVar[str] = "https://arxiv.org/abs/2411.01327"
    site: ClassVar[str] = "hidden"
    evidence: ClassVar[str] = "official code and abstract, for images; rates on text are our choice"
    needs: ClassVar[Needs] = {**DeepPrompt.needs, "axes": ("fraction", True), "norm": ("fraction", True)}
    recipes: ClassVar[dict[str, Recipe]] = {
        "encoder-decoder": Recipe(
            1.0,
            "our choice, unmeasured: deep prompts' in CaPT's paper",
            optimizer="adafactor",
            warmup_ratio=0.06,
            measured_on=(),
        ),
        "gemma3_text": Recipe(
            0.3,
            "measured on Gemma 3 270M: 1.0, 0.3 and 0.1, 16 rows a class (docs/methods/vfpt.md)",
            measured_on=("gemma3_text",),
        ),
        "default": Recipe(0.3, "our choice: the value measured on Gemma 3 270M", measured_on=()),
    }

    num_virtual_tokens: int = Field(10, ge=1, description="k, the vectors a layer")
    fraction: float = Field(0.5, ge=0, le=1, description="share of the vectors that are transformed, the first ones")
    axes: Axes = Field("both", description="axes of the transform: both, tokens or features")
    norm: Literal["ortho", "backward"] = Field(
        "ortho", description="scale of the transform: ortho, of unit length; backward, a plain sum (the official code)"
    )

    @model_validator(mode="after")
    def _some_rows(self) -> VFPT:
        if self.fraction and not self.transformed:
            raise ValueError(
                f"fraction {self.fraction:g} of {self.num_virtual_tokens} virtual tokens is not one row: "
                "raise fraction or num_virtual_tokens, or set fraction=0 for deep prompts"
            )
        return self

    @property
    def transformed(self) -> int:
        """m, how many rows of each layer are transformed."""
        return int(round(self.fraction * self.num_virtual_tokens, 9))  # .29 of 100 is 28.999... in binary

    def build(self, context: BuildContext) -> Producer:
        """Make the table before the transform, shape `(layers, k, H)`, fp32."""
        rows, m = self._rows(context), self.transformed
        if self.init == "words":
            rows[:, :m] = real_transform(rows[:, :m], self.axes, _INVERSE[self.norm])
        layers = self.selection.of(context.anatomy.num_layers)
        return FourierTable(rows, m, self.axes, self.norm, layers, context)


def real_transform(rows: Tensor, axes: Axes, norm: Norm) -> Tensor:
    """Re F of tables `(..., m, H)` along the tokens, the features, or both, in the same shape; m may be 0."""
    return torch.fft.fftn(rows, dim=_AXES[axes], norm=norm).real if rows.shape[-2] else rows


class FourierTable(LayerTable):
    """Rows for each prompted layer, shape `(layers, k, H)`, of which the first m are read through Re F.

    What is stored are the rows as used; loaded ones pass no transform again.
    """

    def __init__(
        self, rows: Tensor, m: int, axes: Axes, norm: Norm, layers: tuple[int, ...], context: BuildContext
    ) -> None:
        super().__init__(rows, layers, context)
        self.m, self.axes, self.norm = m, axes, norm

    def rewrite(self, layer: int, view: View) -> Tensor:
        """[Re F(P^i_{1..m}); P^i_{m+1..k}], shape `(k, H)`."""
        return self._used(super().rewrite(layer, view))

    def _used(self, rows: Tensor) -> Tensor:
        return torch.cat([real_transform(rows[: self.m], self.axes, self.norm), rows[self.m :]]) if self.m else rows

    @torch.no_grad()
    def stored(self) -> dict[str, Tensor]:
        """The rows as used, `(layers, k, H)`."""
        return {"table": torch.stack([self._used(rows) for rows in self.table])}

    def load_stored(self, tensors: dict[str, Tensor]) -> None:
        """Take rows as used."""
        self.m = 0
        self.table = nn.Parameter(tensors["table"].clone())
