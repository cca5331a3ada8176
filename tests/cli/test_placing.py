"""Where a table is made: what is asked of a cluster is refused without one, and Ray's variable says where it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from softprompt.cli.placing import Place, place_of
from softprompt.compare.local import LocalExecutor
from softprompt.compare.on_ray import RayExecutor

from ..shared.commands import ask
from ..shared.tables_of_runs import bench


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--store", "s3://bucket"], "--store is of a cluster: give --on ray with it"),
        (["--gpus", "0.5"], "--gpus is of a cluster: give --on ray with it"),
        (["--on", "slurm"], "--on 'slurm': give ray, or the address of a cluster as ray://HOST:10001"),
        (
            ["--on", "ray", "--store", "nosuch://x"],
            "store nosuch://x: Protocol not known: nosuch: give an address",
        ),
    ],
)
def test_what_cannot_be_is_one_line(options: list[str], line: str, tmp_path: Path) -> None:
    plan = bench(tmp_path).write(tmp_path / "plan.yaml")
    told = ask("compare", plan, "--out", tmp_path / "out", *options)
    assert told.refused
    assert f"error: {line}" in told.err


def test_the_cluster_that_is_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def address(*given: Any) -> Any:
        executor = place_of(None, *given, tmp_path).executor(4, silent=True)
        assert isinstance(executor, RayExecutor)
        return executor._address

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert address("ray", None, None) is None
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert address("ray", None, None) == "head:6379"
    assert address("ray://other:10001", str(tmp_path), 0.5) == "ray://other:10001"
    assert isinstance(Place(None, tmp_path).executor(4, silent=True), LocalExecutor)
