"""What every test shares: one thread, quiet libraries, a fixed seed, a settled heap."""

from __future__ import annotations

import functools
import gc
import json
import os
import sys
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
import torch
import transformers
from jsonschema import Draft202012Validator

from softprompt.backbones.arithmetic import ProductRates
from softprompt.training import finished, measure
from softprompt.training.schema import PUBLISHED

from .fixtures.opened import bench, expected, inside_old, old  # noqa: F401
from .shared.browsers import chromium  # noqa: F401
from .shared.models import changed
from .shared.pairwise import pairwise

torch.set_num_threads(1)
os.fsync = lambda handle: None  # a test that is killed loses nothing of what it wrote, and a disk takes milliseconds
measure.version = functools.cache(measure.version)  # a run reads those of five packages three times from their files
transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out pairs of a method and a family that it does not serve, and mark those beyond the default as slow."""
    from .shared.prompts import FAMILIES, near

    kept, left = [], []
    for item in items:
        given = getattr(getattr(item, "callspec", None), "params", {})
        method, family = given.get("method"), given.get("family")
        served = FAMILIES.get(method) if isinstance(method, str) else None
        if served is not None and family is not None:
            if family not in served:
                left.append(item)
                continue
            if family not in near(method, trains="training" in item.path.parts):
                item.add_marker(pytest.mark.slow)
        kept.append(item)
    config.hook.pytest_deselected(items=left)
    items[:] = kept
    _leave_pairs(kept)
    _count_values_once(kept)


def _leave_pairs(items: list[pytest.Item]) -> None:
    """Mark as slow what an invariant over three factors or more has beyond every two values together."""
    tests: dict[tuple[Path, str], dict[pytest.Item, tuple[str, ...]]] = {}
    for item in items:
        given = getattr(getattr(item, "callspec", None), "params", {})
        if "invariants" in item.path.parts and len(given) > 2 and item.get_closest_marker("slow") is None:
            values = tuple(repr(given[name]) for name in sorted(given))
            tests.setdefault((item.path, item.name.split("[")[0]), {})[item] = values
    for cases in tests.values():
        for item in cases.keys() - set(pairwise(cases)):
            item.add_marker(pytest.mark.slow)


def _count_values_once(items: list[pytest.Item]) -> None:
    """Count lines only in the first cases of a test that have each value of each of its factors.

    What runs is as slow again by half where lines are counted, and the rest of a product runs the same ones. In the
    invariants a value is counted once for all tests of a file, and of each test the first case: what a method runs has
    tests of its own.
    """
    met: dict[tuple[Path, str], set[tuple[str, str]]] = {}
    begun: set[tuple[Path, str]] = set()
    for item in items:
        given = getattr(getattr(item, "callspec", None), "params", {})
        invariant = "invariants" in item.path.parts
        if len(given) > (0 if invariant else 1) and item.get_closest_marker("slow") is None:
            test = item.path, item.name.split("[")[0]
            values = {(name, repr(value)) for name, value in given.items()}
            before = met.setdefault((item.path, "") if invariant else test, set())
            if values <= before and test in begun:
                item.add_marker(pytest.mark.no_cover)
            before |= values
            begun.add(test)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Do not count lines where `no_cover` says so: a worker of xdist has two tracers, of which pytest-cov stops one."""
    tracer = sys.gettrace()
    if tracer is None or item.get_closest_marker("no_cover") is None:
        return (yield)
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)


def _settle() -> None:
    """Let the garbage collector pass by what is here to stay.

    Every training run ends in a whole collection (accelerate's), as does every reset of the compiler. Over the
    libraries, thousands of collected tests and all models made so far that takes most of a second, five times as long
    as the tiny run itself.
    """
    gc.collect()
    gc.freeze()


def pytest_collection_finish() -> None:
    _settle()


@pytest.fixture(scope="module", autouse=True)
def _settled() -> Iterator[None]:
    """The models that a file's tests made stay for those of the next, which are lent them as they were."""
    yield
    _settle()
    found = changed()
    assert not found, "\n".join(found)


@pytest.fixture(autouse=True, scope="session")
def _able_machine() -> Iterator[None]:
    """Every machine multiplies every type well, so what a test loads does not depend on where it runs."""
    rates = ProductRates(float32=1, bfloat16=2, float16=2)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("softprompt.backbones.arithmetic.measured_rates", lambda device: rates)
        yield


@pytest.fixture(autouse=True, scope="session")
def _published_metrics() -> Iterator[None]:
    """Whatever `metrics.json` a test's run writes follows the published schema."""
    follows = Draft202012Validator(json.loads(PUBLISHED.read_text(encoding="utf-8")))
    write = finished.write_json

    def checked(path: Path, document: Mapping[str, object]) -> None:
        follows.validate(document)
        write(path, document)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(finished, "write_json", checked)
        yield


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
