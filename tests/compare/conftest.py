"""What a plan names, made once."""

from __future__ import annotations

import pytest

from ..shared.tables_of_runs import Bench, bench


@pytest.fixture(scope="session")
def own(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return bench(tmp_path_factory.mktemp("bench"))
