"""Names of cells: whatever is in them, a folder can have them, and they stay apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from softprompt.compare.cells import Cell, LoadedTasks, cell_name, method_label, wanted_run

from ..shared.tables_of_runs import Bench

TEXTS = st.text(min_size=1, max_size=80)


@settings(max_examples=80, deadline=None)
@example("sst2", "capt", "~nobody-of-this-name/model", 0)
@given(TEXTS, TEXTS, TEXTS.filter(lambda text: "\0" not in text), st.integers(0, 2**32 - 1))
def test_a_name_is_one_of_a_folder(task: str, method: str, backbone: str, seed: int) -> None:
    name = cell_name(task, method, backbone, (None, None), seed)
    assert Path(name).name == name
    assert name.isascii()
    assert len(name) <= 120
    assert name != cell_name(task, method, backbone, (16, None), seed)
    assert name != cell_name(task, method, backbone, (None, None), seed + 1)


@pytest.mark.parametrize(
    ("backbone", "short"),
    [
        ("embedded:minilm", "minilm"),
        ("google/gemma-3-270m", "gemma-3-270m"),
        ("/models/own/tiny", "tiny"),
        ("adapter:/models/own/tiny", "tiny"),
    ],
)
def test_a_backbone_goes_by_its_last_name(backbone: str, short: str) -> None:
    label = method_label("lora", "own/paper.yaml", {"rank": 4})
    assert cell_name("sst2", label, backbone, (16, 400), 13) == f"sst2-lora@paper,rank=4-{short}-16shots-400test-13"


def test_a_cell_goes_through_a_line_of_json() -> None:
    cell = Cell(name="é", folder="/x y", backbone="b", method="lora", method_options={"rank": 4}, seed=1, shots=3)
    assert Cell.model_validate_json(cell.model_dump_json(exclude_defaults=True)) == cell


def test_a_worker_is_told_who_looks_on(own: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no part of what makes the run, and goes along with the cell all the same."""
    monkeypatch.setattr("softprompt.training.fitting.tracking.import_module", lambda name: name)
    asked = {"name": "lora", "set": {"report_to": "tensorboard,mlflow"}}
    (cell,) = own.planned(tmp_path, methods=[asked], seeds=[1]).cells
    again = Cell.model_validate_json(cell.model_dump_json(exclude_defaults=True))
    assert wanted_run(again, LoadedTasks().of(again)).options.report_to == ("tensorboard", "mlflow")


def test_cells_of_one_task_share_it_whatever_their_seeds(own: Bench, tmp_path: Path) -> None:
    tasks, cells = LoadedTasks(), own.planned(tmp_path, shots=[2, 3]).cells
    assert len({id(tasks.of(cell)) for cell in cells}) == 2
