"""Prompts made of texts: what is overheard is what stands in the slots, row by row; components are PCA's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from softprompt.explain.report.instances import answered_aloud, components, instance_figures, is_made_of_rows
from softprompt.inference.predict import predict
from softprompt.methods import method

from ...shared.runs import run


def test_components_are_those_of_a_library() -> None:
    vectors = torch.randn(12, 5, generator=torch.Generator().manual_seed(1))
    points, shares = components(vectors)
    other = PCA(2).fit(vectors.double().numpy())
    expected = other.transform(vectors.double().numpy())
    for axis in range(2):
        own = points[:, axis].numpy()
        assert np.abs(own) == pytest.approx(np.abs(expected[:, axis]), abs=1e-9)
    assert shares == pytest.approx(tuple(other.explained_variance_ratio_))
    assert components(torch.ones(3, 1))[0].shape == (3, 2)


def test_rows_have_their_own_vectors_whatever_the_batch(tmp_path: Path) -> None:
    made = run(tmp_path, "llama", method("capt"), max_steps=2)
    assert made.prompt.task is not None
    rows = made.prompt.task.with_data(tmp_path / "data" / "rows.jsonl").splits(3).test
    labels = [str(row.label) for row in rows]
    found = answered_aloud(made.prompt, rows, batch_size=3)
    alone = [answered_aloud(made.prompt, [row, rows[0]], batch_size=1) for row in rows[1:]]
    layers = list(found.vectors)
    assert layers
    assert is_made_of_rows(made.prompt)
    assert layers[0] == 0
    for place, one in enumerate(alone, 1):
        for layer in layers:
            assert torch.allclose(one.vectors[layer][0], found.vectors[layer][place], atol=1e-4)
    figures = instance_figures(found.vectors, labels)
    assert 1 <= len(figures) <= 3
    assert len(figures[0].table.rows) == len(rows)
    assert {row[0] for row in figures[0].table.rows} == set(labels)


def test_a_prompt_that_is_the_same_for_each_text_has_none(tmp_path: Path) -> None:
    made = run(tmp_path, "llama", method("prompt_tuning", num_virtual_tokens=2), max_steps=1)
    assert made.prompt.task is not None
    rows = made.prompt.task.with_data(tmp_path / "data" / "rows.jsonl").splits(3).test
    assert not is_made_of_rows(made.prompt)
    assert not answered_aloud(made.prompt, rows).vectors


def test_who_listens_hears_the_answers_that_are_given_anyway(tmp_path: Path) -> None:
    made = run(tmp_path, "bert", method("capt"), max_steps=2)
    task, readout = made.prompt.asked()
    rows = task.with_data(tmp_path / "data" / "rows.jsonl").splits(3).train
    with made.prompt.attached() as prompted:
        assert answered_aloud(made.prompt, rows).outcomes == predict(prompted, readout, rows)
