"""Ten thousand requests that nobody would write: no fault of the server, no trace, no path.

python -m benchmarks.serving_fuzz [--requests 10000]

Bodies, headers and names are drawn as tests/serving/test_fuzz.py draws a few of them. How many answers had which status
is printed, and written to benchmarks/results/serving_fuzz.json; a request that meets a fault is shrunk and printed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, given, settings

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
os.chdir(ROOT)
RESULTS = ROOT / "benchmarks" / "results" / "serving_fuzz.json"


def main() -> None:
    """Send them."""
    from tests.shared.fuzzed import Fuzzed, check, fuzzed_server, requests

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=10_000)
    asked = parser.parse_args().requests
    statuses: Counter[int] = Counter()
    with tempfile.TemporaryDirectory() as folder, fuzzed_server(Path(folder)) as served:

        @given(requests)
        @settings(max_examples=asked, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        def send(one: Fuzzed) -> None:
            statuses[check(served, one)] += 1

        send()
        alive = served.ask("/v1/classify", {"model": "labels", "input": "w20"}).status
    found = {
        "requests": sum(statuses.values()),
        "statuses": dict(sorted(statuses.items())),
        "answers_afterwards": alive,
    }
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
