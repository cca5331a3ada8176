"""What every test shares: one thread, quiet libraries, a fixed seed."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
import torch
import transformers

torch.set_num_threads(1)
transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

# Every method of these runs over every family by default; the others over one family of each kind, and over all of them
# with `make test-slow`.
EVERYWHERE = {
    "capt",
    "prompt_tuning",
    "p_tuning_v2",
    "p_tuning_v2_projection",
    "deep_prompt",
    "hard_prompt",
    "head_only",
}
EVERYWHERE |= {"full_finetuning"}
ONE_OF_EACH_KIND = {"bert", "t5", "llama"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out pairs of a method and a family that it does not serve, and mark those beyond the default as slow."""
    from .prompts import FAMILIES

    kept, left = [], []
    for item in items:
        given = getattr(getattr(item, "callspec", None), "params", {})
        method, family = given.get("method"), given.get("family")
        served = FAMILIES.get(method) if isinstance(method, str) else None
        if served is not None and family is not None:
            if family not in served:
                left.append(item)
                continue
            near = ONE_OF_EACH_KIND & set(served) or set(served[:1])
            if method not in EVERYWHERE and family not in near:
                item.add_marker(pytest.mark.slow)
        kept.append(item)
    config.hook.pytest_deselected(items=left)
    items[:] = kept


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
