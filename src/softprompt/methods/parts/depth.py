"""Which layers a method over layers prompts (CaPT's depth ablation, paper figure 6)."""

from __future__ import annotations

from typing import Literal

Depth = Literal["all", "input", "first_half", "latter_half", "odd"]


def layers_of(depth: Depth, num_layers: int) -> tuple[int, ...]:
    """The prompted layers, counted from 0; `odd` are layers 1, 3, 5, ... in the paper's count from 1."""
    half = num_layers // 2
    chosen = {
        "all": range(num_layers),
        "input": range(1),
        "first_half": range(max(half, 1)),
        "latter_half": range(half, num_layers),
        "odd": range(0, num_layers, 2),
    }
    return tuple(chosen[depth])
