"""Which share of a backbone is trained: the "tunable" percentage that tables of parameter-efficient methods show.

CaPT's Table 1 counts what is trained against all parameters of the backbone. Where a head is trained beside the prompt,
both counts are told, with it and without it: papers do either, and seldom say which.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Tunable(BaseModel):
    """Trained scalars as a share of the backbone's parameters.

    What a prompt brings stands beside the backbone and not in it, so that more than 100 % is possible.

    Attributes:
        backbone_parameters: scalars of the frozen model, tied weights once.
        percent: the scalars that are trained, the readout's among them, for a hundred of these.
        percent_without_head: likewise without the readout's.

    Example:
        >>> from softprompt.backbones.tunable import Tunable
        >>> Tunable.of(12 * 768, 0, 222_903_552).told()  # CaPT on T5-Base
        '4.1e-3'
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    backbone_parameters: int = Field(gt=0)
    percent: float = Field(ge=0)
    percent_without_head: float = Field(ge=0)

    @classmethod
    def of(cls, prompt: int, head: int, backbone: int) -> Tunable:
        """Of counts.

        Args:
            prompt: scalars that are trained, without the readout's.
            head: the readout's.
            backbone: scalars of the frozen model, tied weights once.
        """
        with_head, without = (100 * count / backbone for count in (prompt + head, prompt))
        return cls(backbone_parameters=backbone, percent=with_head, percent_without_head=without)

    def told(self) -> str:
        """For a table's cell: the percentage, and in brackets the one without the head where that is another."""
        if self.percent == self.percent_without_head:
            return percentage(self.percent)
        return f"{percentage(self.percent)} ({percentage(self.percent_without_head)})"

    def sentence(self) -> str:
        """For a line of text."""
        share = f"{percentage(self.percent)} % of the backbone's {self.backbone_parameters:,} parameters"
        if self.percent == self.percent_without_head:
            return share
        return f"{share}, {percentage(self.percent_without_head)} % without the head"


def percentage(value: float) -> str:
    """A percentage in two digits, in the form of CaPT's tables: 0.53, and 4.1e-3 below a hundredth."""
    if value == 0 or value >= 1:
        return f"{value:.0f}" if value == 0 or value >= 10 else f"{value:.1f}"
    if value >= 0.01:
        return f"{value:.2g}"
    digits, power = f"{value:.1e}".split("e")
    return f"{digits}e{int(power)}"
