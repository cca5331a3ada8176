"""What a server leaves behind: no circles of its own for the collector to find, and no free memory that it keeps."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from softprompt.backbones.freed import give_back
from softprompt.serving import heap

from ..shared.served import GENERATION, TEXTS, put, server

FAMILY = "llama"
BODIES = {
    "labels": ("/v1/classify", {"model": "one", "input": TEXTS}),
    "label as a stream": ("/v1/completions", {"model": "one", "prompt": TEXTS[0], "stream": True}),
    "text": ("/v1/completions", {"model": "writer", "prompt": TEXTS[0]}),
    "text as a stream": ("/v1/completions", {"model": "writer", "prompt": TEXTS[0], "stream": True}),
    "embedding": ("/v1/embeddings", {"model": "head", "input": TEXTS}),
    "nobody": ("/v1/classify", {"model": "nobody", "input": TEXTS}),
}


@contextmanager
def kept(found: Counter[str]) -> Iterator[None]:
    """Count what of ours and of torch's only the collector finds."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield
        gc.collect()
        names = (f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.garbage)
        found.update(name for name in names if name.startswith(("softprompt.", "torch.")))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def test_requests_leave_nothing_that_only_the_collector_finds(tmp_path: Path) -> None:
    root, found = tmp_path / "prompts", Counter[str]()
    put(root, "one", FAMILY, "prompt_tuning", {"num_virtual_tokens": 2})
    put(root, "head", FAMILY, "capt", {}, wishes={"readout": "head"})
    put(root, "writer", FAMILY, "prompt_tuning", {"num_virtual_tokens": 3}, **GENERATION, wishes={"max_new_tokens": 9})
    with server(root, FAMILY, limits={"every": 1000}) as one:
        for path, body in BODIES.values():
            one.ask(path, body)
        with kept(found):
            for path, body in BODIES.values():
                assert one.ask(path, body).status in (200, 404)
            assert one.ask("/healthz").status == 200  # the last of them has left by now
    assert not found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's heap")
def test_what_is_free_is_given_back() -> None:
    if not hasattr(ctypes.CDLL(None), "malloc_trim"):
        pytest.skip("another library allocates")
    libc, process = ctypes.CDLL(None), psutil.Process()
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    places = [libc.malloc(64 << 10) for _ in range(2000)]
    for place in places:
        ctypes.memset(place, 1, 64 << 10)
    for place in places[::2] + places[1:-1:2]:  # but for the last, behind which nothing is free
        libc.free(place)
    before = process.memory_info().rss
    give_back()
    assert before - process.memory_info().rss > 60 << 20
    libc.free(places[-1])


def test_the_collector_looks_at_new_things_alone_while_a_server_runs() -> None:
    before = gc.get_freeze_count()
    with heap.only_new_rubbish():
        assert gc.get_freeze_count() > 50_000
        assert len(gc.get_objects()) < 10_000
    assert gc.get_freeze_count() <= before
