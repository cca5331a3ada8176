"""What `doctor` says of the machine: rates, memory, the type that follows from them, and how long the demo takes."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from softprompt.backbones.arithmetic import ProductRates
from softprompt.cli.machine import demo_seconds

MACHINES = {
    "AVX2": (
        ProductRates(float32=95, bfloat16=4.5, float16=5),
        "float32",
        "multiplies no bfloat16 (21x slower when tried)",
    ),
    "AVX512_BF16": (ProductRates(float32=95, bfloat16=200, float16=0), "bfloat16", "2.1x as fast as float32"),
}


@pytest.mark.parametrize("kind", MACHINES)
def test_doctor_tells_what_the_machine_can_do(kind: str, ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rates, dtype, why = MACHINES[kind]
    monkeypatch.setattr("softprompt.backbones.arithmetic.measured_rates", lambda device: rates)
    code, printed, _ = ask("doctor", "--json")
    found = {check["check"]: check for check in json.loads(printed)}
    assert code == 0
    assert found["products on cpu"]["gflops"] == rates.model_dump(exclude={"onednn"})
    assert found["CPU"]["threads"] == torch.get_num_threads()
    assert 1 <= found["CPU"]["usable"] <= found["CPU"]["cores"]
    assert 0 < found["memory"]["free_bytes"] <= found["memory"]["total_bytes"]
    assert found["dtype"]["dtype"] == dtype
    assert why in found["dtype"]["detail"]
    assert found["make demo"]["seconds"] == demo_seconds(getattr(rates, dtype), torch.get_num_threads())
    code, printed, _ = ask("doctor")
    shown = " ".join(printed.replace("│", " ").split())
    assert f"float32 95, bfloat16 {rates.bfloat16:.0f}" in shown
    assert "GFLOP/s a core" in shown
    assert f"embedded:gemma3-270m takes {dtype}" in shown
    assert max(map(len, printed.splitlines())) <= 100


def test_a_gpu_is_asked_first(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    slow, fast = (
        ProductRates(float32=4000, bfloat16=1000, float16=20000),
        ProductRates(float32=95, bfloat16=200, float16=5),
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "T4")
    monkeypatch.setattr(
        "softprompt.backbones.arithmetic.measured_rates", lambda device: slow if device.type == "cuda" else fast
    )
    code, printed, _ = ask("doctor", "--json")
    found = {check["check"]: check for check in json.loads(printed)}
    assert code == 0
    assert found["products on cuda:0"]["gflops"]["float16"] == 20000
    assert found["dtype"]["dtype"] == "float32"
    assert "this GPU multiplies no bfloat16" in found["dtype"]["detail"]
    assert "less on the GPU" in found["make demo"]["detail"]


def test_the_demo_is_shorter_on_faster_and_more_cores() -> None:
    assert demo_seconds(200, 2) < demo_seconds(95, 2) < demo_seconds(95, 1)
