"""Attacks that the suite runs in part and `benchmarks/reliability.py` runs whole, with counts.

A module here has `TITLE`, `PROMISE` (one sentence), `TESTS` (the files of the suite that hold it) and
`measure(tick)`, which attacks on purpose and returns what it counted by name. A count that breaks the promise
is never left out: it stands there as a number that should be 0.
"""
