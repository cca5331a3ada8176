"""Whatever is asked, the server answers: with no fault of its own, no trace, and no path of its machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from ..shared.fuzzed import Fuzzed, check, fuzzed_server, requests
from ..shared.served import Server


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with fuzzed_server(tmp_path_factory.mktemp("fuzz")) as one:
        yield one
        assert one.ask("/readyz").status == 200
        assert one.ask("/v1/classify", {"model": "labels", "input": "w20"}).status == 200


@given(requests)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_request_meets_a_fault_of_the_server(served: Server, one: Fuzzed) -> None:
    check(served, one)
