"""Types tried in processes of their own, so that one that crashes or never ends costs itself alone."""

from __future__ import annotations

import multiprocessing
import os
import resource
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from multiprocessing.connection import Connection

from .build import ModelType
from .results import Found, untried

SECONDS, BYTES = 240, 12 << 30
# What a child finds imported: torch and transformers take longer than a tiny model, and files may change meanwhile.
_LOADED = ["benchmarks.sweep.checks", "tests.shared.models", "softprompt.training.run", "softprompt.inference.batches"]


def run(types: Sequence[ModelType], jobs: int) -> Iterator[Found]:
    """Each type as it is done."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_LOADED)

    def one(asked: ModelType) -> Found:
        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(target=_child, args=(asked, sender, BYTES))
        child.start()
        sender.close()
        try:
            found: Found = receiver.recv() if receiver.poll(SECONDS) else untried(asked, f"more than {SECONDS} s")
        except EOFError:
            child.join()
            found = untried(asked, f"the process ended with {child.exitcode}")
        child.kill()
        child.join()
        return found

    with ThreadPoolExecutor(jobs) as pool:
        waiting = [pool.submit(one, asked) for asked in types]
        for done in as_completed(waiting):
            yield done.result()


def _child(asked: ModelType, sender: Connection, most: int) -> None:
    import logging
    import warnings

    import torch

    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    warnings.filterwarnings("ignore")
    logging.disable()
    torch.set_num_threads(1)
    sender.send(tried(asked))


def tried(asked: ModelType) -> Found:
    """Build a type and check it."""
    from tests.shared.models import tokenizer

    from .bare import Bare
    from .build import built
    from .checks import Checks
    from .verdict import Unknown, told

    try:
        bare = Bare(built(asked), asked.kind)
    except Unknown as why:
        return untried(asked, str(why))
    except Exception as error:
        return untried(asked, told(error))
    return Found(asked, Checks(bare, tokenizer()).all())
