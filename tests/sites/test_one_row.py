"""Where a batch lies in one row."""

from __future__ import annotations

import pytest
import torch

from softprompt.sites.footprint import Footprint
from softprompt.sites.layout import Placement, Slots
from softprompt.sites.one_row import in_one_row

from ..shared.models import ids, padded
from ..shared.prompts import tiny


@pytest.mark.parametrize(
    ("placement", "first", "second"),
    [("front", "VVabc", "VVde"), ("after_bos", "aVVbc", "dVVe"), ("end", "abcVV", "deVV")],
)
@pytest.mark.parametrize("side", ["left", "right"])
def test_rows_of_a_prompt_that_reads_the_text_lie_whole(
    placement: Placement, first: str, second: str, side: str
) -> None:
    """Two rows of such a prompt, between two of a static one, which share their front."""
    static, reading = Slots(100, 3, "front", True, 0), Slots(103, 2, placement, True, 0)
    texts = [torch.tensor([[11, 12]]), ids(3, 1), torch.tensor([[11, 12]]), ids(2, 2)]
    named = dict(zip("abcde", [*texts[1][0].tolist(), *texts[3][0].tolist()], strict=True))
    batch, mask = padded(texts, side)
    with tiny("llama", "prompt_tuning") as prompted, prompted.calling((0,) * 4) as call:
        call.slots, call.footprints = (static, reading), (Footprint(count=3, static=True), Footprint(count=2))
        given = in_one_row(call, prompted.anatomy, (0, 1, 0, 1), {"input_ids": batch, "attention_mask": mask})
        layout, shared = call.layout, call.shared_prefix
    assert layout is not None
    assert shared is not None
    wanted: list[int] = []
    for text in (first, second):
        virtual = iter((103, 104))
        wanted += [next(virtual) if letter == "V" else named[letter] for letter in text]
    assert layout.ids[0].tolist() == [100, 101, 102, 11, 12, *wanted]
    assert given["position_ids"] is layout.positions
    assert layout.positions is not None
    assert layout.positions[0].tolist() == [0, 1, 2, 3, 4, *range(5), *range(4)]
    assert torch.equal(layout.ids[0][shared.places][mask.bool()], batch[mask.bool()])
    _, group = layout.groups
    assert group.apart is not None
    assert group.text.tolist() == [[x != "V" for x in first], [x != "V" for x in second] + [False]]
    assert layout.ids[0][group.slots].tolist() == [[103, 104]] * 2
