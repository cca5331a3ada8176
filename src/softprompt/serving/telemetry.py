"""What is counted of a server, in the form that Prometheus reads."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from softprompt.serving.jobs import Scored, Written

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Telemetry:
    """The counts of one server; each has a registry of its own.

    Attributes:
        prompts: that are served, in memory, and in the folder without being served.
        prompt_bytes: that those in memory take.
        waiting: rows in the queue.
        writing: texts that are being written.
    """

    def __init__(self) -> None:
        """Nothing has been counted."""
        own = self._registry = CollectorRegistry()
        self._requests = Counter("softprompt_requests", "Requests", ["route", "status"], registry=own)
        self._latency = Histogram("softprompt_request_seconds", "From the head to the last byte of the answer",
                                  ["route"], buckets=_SECONDS, registry=own)  # fmt: skip
        self._rows = Counter("softprompt_rows", "Rows that passed the model", ["kind"], registry=own)
        self._tasks = Counter("softprompt_prompt_rows", "Rows of each prompt", ["model"], registry=own)
        self._columns = Counter("softprompt_columns", "Columns of these rows, virtual ones too", ["kind"], registry=own)
        self._batch = Histogram("softprompt_batch_rows", "Rows of a pass", ["kind"], buckets=_ROWS, registry=own)
        self._pass = Histogram("softprompt_pass_seconds", "A pass", ["kind"], buckets=_SECONDS, registry=own)
        self._wait = Histogram("softprompt_wait_seconds", "A row in the queue", buckets=_SECONDS, registry=own)
        self.prompts = Gauge("softprompt_prompts", "Prompts of the folder", ["state"], registry=own)
        self.prompt_bytes = Gauge("softprompt_prompt_bytes", "Bytes of the prompts in memory", registry=own)
        self.waiting = Gauge("softprompt_waiting_rows", "Rows in the queue", registry=own)
        self.writing = Gauge("softprompt_writing_rows", "Texts that are being written", registry=own)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(route, str(status)).inc()
        self._latency.labels(route).observe(seconds)

    def passed(self, kind: str, jobs: Sequence[Scored | Written], seconds: float, waited: Sequence[float]) -> None:
        """Count a pass of the model."""
        self._batch.labels(kind).observe(len(jobs))
        self._pass.labels(kind).observe(seconds)
        self._rows.labels(kind).inc(len(jobs))
        if kind == "step":
            return
        self._columns.labels(kind).inc(sum(job.cost for job in jobs))
        for job, one in zip(jobs, waited, strict=True):
            self._tasks.labels(job.task).inc()
            self._wait.observe(max(one, 0.0))

    def text(self) -> str:
        """All counts, as Prometheus reads them."""
        return generate_latest(self._registry).decode()
