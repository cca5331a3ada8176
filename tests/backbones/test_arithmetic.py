"""What a machine multiplies is measured once, whatever else it does meanwhile, and no cache can spoil it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from softprompt.backbones import arithmetic
from softprompt.backbones.arithmetic import ProductRates, measure, measured_rates, this_machine

CPU = torch.device("cpu")
RATES = ProductRates(float32=100, bfloat16=200, float16=0)


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[torch.device]:
    """A cache of its own, and the devices that were measured instead of read from it."""
    devices: list[torch.device] = []
    monkeypatch.setenv("SOFTPROMPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(arithmetic, "measure", lambda device: devices.append(device) or RATES)
    arithmetic._rates_of.cache_clear()
    yield devices
    arithmetic._rates_of.cache_clear()


def another_process() -> ProductRates:
    """Measured rates as a process finds them that knows no others."""
    arithmetic._rates_of.cache_clear()
    return measured_rates(CPU)


def test_products_are_measured_within_seconds_and_leave_no_trace() -> None:
    random, begun = torch.get_rng_state(), time.process_time()
    with torch.inference_mode():
        rates = measure(CPU)
        assert torch.is_inference_mode_enabled()
    assert rates.float32 > 0
    assert rates.bfloat16 > 0
    assert rates.slower("float32", "float32") == 1
    assert time.process_time() - begun < 20
    assert torch.equal(random, torch.get_rng_state())


def test_other_programs_on_the_machine_do_not_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    class Product:
        flop = 1e9

        def __init__(self, seconds: list[float]) -> None:
            self.seconds = iter(seconds).__next__

    def grown(dtype: torch.dtype, device: torch.device, linear: Any = functional.linear) -> Product | None:
        own = turns.get(dtype) if linear is functional.linear else by_onednn
        return Product(own) if own is not None else None

    turns = {torch.float32: [3.0, 1.0, 9.0, 2.0, 1.0], torch.bfloat16: [90.0, 70.0, 0.5, 80.0, 60.0]}
    by_onednn = [9.0, 9.0, 0.9, 9.0, 9.0]
    monkeypatch.setattr(arithmetic, "has_onednn", lambda: True)
    monkeypatch.setattr(arithmetic, "_grown", grown)
    assert measure(CPU) == ProductRates(float32=1, bfloat16=2, float16=0)  # a tenth of a second is no reason
    by_onednn[3] = 0.5
    assert measure(CPU) == ProductRates(float32=2, bfloat16=2, float16=0, onednn=True)
    monkeypatch.setattr(arithmetic, "has_onednn", lambda: False)
    assert measure(CPU) == ProductRates(float32=1, bfloat16=2, float16=0)


def test_a_device_without_a_type_is_told_from_one_without_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    class Product(arithmetic._Product):
        def __init__(self, rows: int, dtype: torch.dtype, *given: Any) -> None:
            if dtype in raised:
                raise raised[dtype]
            super().__init__(rows, dtype, *given)

    raised: dict[torch.dtype, Exception] = {torch.bfloat16: TypeError("no"), torch.float16: RuntimeError("no")}
    monkeypatch.setattr(arithmetic, "_Product", Product)
    rates = measure(CPU)
    assert (rates.bfloat16, rates.float16) == (0, 0)
    assert rates.slower("bfloat16", "float32") == float("inf")
    raised[torch.bfloat16] = torch.OutOfMemoryError("full")
    with pytest.raises(torch.OutOfMemoryError):
        measure(CPU)


def test_rates_are_measured_once_a_machine(tried: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert [measured_rates(CPU), measured_rates(CPU), another_process()] == [RATES] * 3
    assert tried == [CPU]
    monkeypatch.setenv("UNRELATED", "1")
    another_process()
    assert tried == [CPU]
    for number, (name, value) in enumerate(
        [
            ("ATEN_CPU_CAPABILITY", "avx2"),
            ("ONEDNN_MAX_CPU_ISA", "AVX2"),
            ("DNNL_MAX_CPU_ISA", "AVX2"),
            ("MKL_CBWR", "AVX"),
        ]
    ):
        monkeypatch.setenv(name, value)
        assert measured_rates(CPU) == RATES
        assert len(tried) == number + 2
    with monkeypatch.context() as patched:
        patched.setattr(torch, "get_num_threads", lambda: 77)
        measured_rates(CPU)
    assert len(tried) == 6
    files = sorted((tmp_path / "cache").iterdir())
    assert len(files) == 6
    assert all(file.name.startswith("rates-") for file in files)


def test_a_gpu_goes_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Module:
        def get_device_name(self, device: torch.device) -> str:
            return "T4" if device.index == 0 else "A100"

    monkeypatch.setattr(torch, "get_device_module", lambda device: Module())
    assert [this_machine(torch.device(f"cuda:{index}")).device for index in (0, 1)] == ["cuda T4", "cuda A100"]


DAMAGE = {
    "empty": b"",
    "cut": b'{"machine": {"device"',
    "no object": b"null",
    "deep": b"[" * 100_000,
    "bytes": b"\xff\xfe\x00",
    "not finite": b'"bfloat16": NaN',
    "negative": b'"bfloat16": -1',
    "text": b'"bfloat16": "fast"',
    "zero": b'"float32": 0.0',
    "unknown type": b'"float8": 1',
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_cache_is_measured_anew(kind: str, tried: Any, tmp_path: Path) -> None:
    measured_rates(CPU)
    (file,) = (tmp_path / "cache").iterdir()
    whole = file.read_bytes()
    damage = DAMAGE[kind]
    if damage.startswith(b'"'):
        held = json.loads(whole)
        name, value = json.loads(b"{" + damage + b"}").popitem()
        held["gflops"][name] = value
        damage = json.dumps(held).encode()
    file.write_bytes(damage)
    assert another_process() == RATES
    assert tried == [CPU, CPU]
    assert file.read_bytes() == whole
    assert list((tmp_path / "cache").iterdir()) == [file]


def test_rates_of_another_machine_are_not_taken(tried: Any, tmp_path: Path) -> None:
    measured_rates(CPU)
    (file,) = (tmp_path / "cache").iterdir()
    held = json.loads(file.read_text())
    file.write_text(json.dumps({**held, "machine": {**held["machine"], "threads": 99}}))
    another_process()
    assert tried == [CPU, CPU]


@pytest.mark.parametrize("place", ["a file", "a folder for a file", "a null byte", "a circle"])
def test_a_cache_that_cannot_be_written_is_no_fault(
    place: str, tried: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    if place == "a file":
        cache.write_text("in the way")
    elif place == "a folder for a file":
        measured_rates(CPU)
        (file,) = cache.iterdir()
        file.unlink()
        (file / "x").mkdir(parents=True)
    elif place == "a circle":
        cache.symlink_to(cache)
    else:
        monkeypatch.setattr(arithmetic, "cache_folder", lambda: Path("a\0b"))
    before = len(tried)
    assert [another_process(), another_process()] == [RATES, RATES]
    assert len(tried) == before + 2
