"""An attached model: its texts are encoded, and the backbone runs as if nothing were attached."""

from __future__ import annotations

from ..shared.models import ids, model
from ..shared.prompts import attached, close, tiny


def test_the_backbone_runs_as_if_nothing_were_attached() -> None:
    plain = model("llama")(input_ids=ids(4)).logits
    for method in ("capt", "prompt_tuning", "p_tuning_v2"):
        with attached(model("llama"), method) as prompted:
            close(prompted.backbone(input_ids=ids(4)).logits, plain, 1e-6)


def test_encoding() -> None:
    with tiny("llama", "capt") as prompted:
        batch = prompted.encode(["w9 w8 w7", "w6"])
        assert batch["attention_mask"].tolist() == [[1, 1, 1], [0, 0, 1]]
        assert prompted(**batch).logits.shape[:2] == (2, 3)
    with tiny("bert", "capt") as prompted:
        assert prompted.encode("w9 w8")["input_ids"].tolist() == [[9, 8]]
