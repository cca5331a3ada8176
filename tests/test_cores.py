"""A limit on the time of cores is a limit on threads: torch sees every core of the machine, and waits for them all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from softprompt import cores
from softprompt.cores import THREADS, fewer_threads, heed_limit, usable_cores
from softprompt.training.process import reproducible


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of eight cores whose control groups are files of the test, and nobody chose threads."""
    monkeypatch.setattr(cores, "_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(cores, "_OWN", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.delenv(THREADS, raising=False)
    return tmp_path / "cgroup"


def put(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


@pytest.mark.parametrize(
    ("files", "own", "expected"),
    [
        ({}, None, 8),
        ({"cpu.max": "max 100000\n"}, "0::/\n", 8),
        ({"cpu.max": "200000 100000\n"}, "0::/\n", 2),
        ({"cpu.max": "250000 100000\n"}, "0::/\n", 2),
        ({"cpu.max": "50000 100000\n"}, None, 1),
        ({"cpu.max": "6400000 100000\n"}, None, 8),
        ({"cpu.max": "nonsense"}, "nonsense", 8),
        ({"cpu.max": "100 0\n"}, None, 8),
        ({"a.slice/b.service/cpu.max": "300000 100000\n"}, "0::/a.slice/b.service\n", 3),
        ({"a.slice/cpu.max": "400000 100000\n", "a.slice/b/cpu.max": "max 100000\n"}, "0::/a.slice/b\n", 4),
        ({"other/cpu.max": "100000 100000\n"}, "0::/mine\n", 8),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, "1:cpu,cpuacct:/\n", 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, "1:cpu,cpuacct:/\n", 3),
        ({"cpu/x/cpu.cfs_quota_us": "100000\n", "cpu/x/cpu.cfs_period_us": "50000\n"}, "2:memory:/y\n1:cpu:/x\n", 2),
    ],
)
def test_the_time_of_cores_counts_as_cores(files: dict[str, str], own: str | None, expected: int, groups: Path) -> None:
    for name, content in files.items():
        put(groups / name, content)
    if own is not None:
        put(groups.parent / "own", own)
    assert usable_cores() == expected
    assert fewer_threads(8) == (None if expected == 8 else expected)
    assert fewer_threads(1) is None


def test_threads_that_were_chosen_stay(groups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(groups / "cpu.max", "100000 100000\n")
    monkeypatch.setenv(THREADS, "8")
    assert fewer_threads(8) is None
    heed_limit()
    assert os.environ[THREADS] == "8"
    with reproducible(0, 3):
        assert torch.get_num_threads() == 3


def test_a_training_takes_no_more_threads_than_there_is_time_for(groups: Path) -> None:
    put(groups / "cpu.max", "100000 100000\n")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with reproducible(0, None):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        (groups / "cpu.max").unlink()
        with reproducible(0, None):
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_program_starts_with_the_threads_it_may_have(groups: Path) -> None:
    put(groups / "cpu.max", "100000 100000\n")
    code = (
        "import os, sys, pathlib, softprompt.cores as cores; cores._GROUPS = pathlib.Path(sys.argv.pop(1))\n"
        "os.cpu_count = lambda: 8; from softprompt.cli import program; assert 'torch' not in sys.modules\n"
        "program._exit_code = lambda app: 0\n"
        "try: program.run(None)\n"
        "except SystemExit: import torch; print(torch.get_num_threads())"
    )
    environment = {name: value for name, value in os.environ.items() if name != THREADS}
    made = subprocess.run(
        [sys.executable, "-c", code, str(groups)], env=environment, capture_output=True, text=True, check=True
    )
    assert made.stdout.split() == ["1"]
