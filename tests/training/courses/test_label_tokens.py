"""The probe that label tokens are ranked by."""

from __future__ import annotations

import torch

from softprompt.training.courses.label_tokens import probe, ranking

from ...shared.prompts import close


def test_the_probe_finds_the_direction_and_the_tokens_on_it() -> None:
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(8, generator=generator)
    labels = torch.arange(40) % 2
    features = torch.randn(40, 8, generator=generator) * 0.1 + (labels * 2.0 - 1)[:, None] * direction
    weight = probe(features, labels, 2, 1e-2)
    embedding = torch.stack([direction, -direction, torch.zeros(8)])
    scores = ranking(weight, embedding)
    close(scores, (weight @ embedding.T).softmax(0), 1e-6)
    assert scores.argmax(1).tolist() == [1, 0]
