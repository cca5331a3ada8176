"""Damaged prompt folders are refused in one line."""

from __future__ import annotations

from .damage import attack


def test_a_part_of_the_attack() -> None:
    """`benchmarks/reliability.py --only damage` tries every damage."""
    found = attack(lambda count: None, every=173, flips=10)
    assert {name for name in found if not name.startswith("refused")} == set()
    assert found.total() > 30


def test_a_part_of_the_attack_on_prompts_without_checksums() -> None:
    """What an earlier version wrote."""
    found = attack(lambda count: None, every=179, flips=10, manifest=False)
    assert {name for name in found if not name.startswith(("refused", "loaded"))} == set()
    assert found.total() > 30
