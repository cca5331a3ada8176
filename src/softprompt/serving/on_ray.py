"""The same application as a deployment of Ray Serve: replicas, how many, and what becomes of a dead one are Ray's work.

Each replica loads the backbone and looks at the folder by itself, so both must be where its node finds them; requests
come to any of them through Ray's proxy. A request that was in a replica when it died is answered with an error, since
nobody knows how far it came; its client may ask again, for answers change nothing.
"""

from __future__ import annotations

import os
import re
import signal
import threading
from dataclasses import dataclass
from importlib.util import find_spec
from typing import NamedTuple

from fastapi import FastAPI

from softprompt.errors import SoftPromptError, quoted
from softprompt.serving.options import ServingOptions

NAME = "softprompt"
# Ray's own, where the user says nothing else: no report to its authors, and time for its proxy on a busy machine.
_RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
}


class Replicas(NamedTuple):
    """How many there are: as many as that, or as many as the load asks for between two numbers."""

    least: int
    most: int

    @classmethod
    def of(cls, text: str) -> Replicas:
        """As it is typed: `2`, or `1-4`.

        Raises:
            SoftPromptError: it is neither.
        """
        found = re.fullmatch(r"([1-9][0-9]{0,2})(?:-([1-9][0-9]{0,2}))?", text)
        if found is not None and int(found[1]) <= int(found[2] or found[1]):
            return cls(int(found[1]), int(found[2] or found[1]))
        raise SoftPromptError(f"--replicas {quoted(text)}: give a number, or two as 1-4, between which Ray chooses")


@dataclass(frozen=True)
class Order:
    """What a replica serves.

    Attributes:
        backbone: what `load_backbone` takes.
        prompts: the folder.
        memory: bytes that prompts may take together, or None for any.
        options: limits and times.
        token: that requests must bring, or None.
        log_texts: whether texts are logged.
        dtype: of the backbone.
        device: of the backbone, or None for the usual one.
        int8: whether its layers multiply in int8; see `load_backbone`.
    """

    backbone: str
    prompts: str
    memory: int | None
    options: ServingOptions
    token: str | None
    log_texts: bool
    dtype: str
    device: str | None
    int8: bool = False

    def app(self) -> FastAPI:
        """The application, with the backbone loaded."""
        from softprompt.backbones.load import load_backbone
        from softprompt.serving.app import create_app
        from softprompt.serving.engine import Engine

        backbone = load_backbone(self.backbone, dtype=self.dtype, device=self.device, int8=self.int8)
        engine = Engine(backbone, self.prompts, self.memory)
        own_hosts = self.token is None
        return create_app(engine, self.options, token=self.token, own_hosts=own_hosts, log_texts=self.log_texts)


def check_ray() -> None:
    """See that Ray Serve is there.

    Raises:
        SoftPromptError: it is not.
    """
    if find_spec("ray") is None or find_spec("ray.serve") is None:
        raise SoftPromptError("--on ray: Ray Serve is missing: pip install 'softprompt[cluster,serve]'")


def deploy(order: Order, host: str, port: int, replicas: Replicas, address: str | None = None) -> None:
    """Serve from replicas, on a cluster of this machine or at an address; come back once requests are answered.

    Args:
        order: what each serves.
        host: that Ray's proxy listens at.
        port: that it listens at.
        replicas: how many.
        address: of a cluster that runs, or None for one on this machine.
    """
    for name, value in _RAY.items():
        os.environ.setdefault(name, value)
    import ray
    from ray import serve

    ray.init(address=address, include_dashboard=False, log_to_driver=False, ignore_reinit_error=True)
    serve.start(http_options={"host": host, "port": port})

    def build() -> FastAPI:
        return order.app()

    class Prompts:
        """A replica, which the application makes of it."""

    number = (
        {"num_replicas": replicas.least}
        if replicas.least == replicas.most
        else {"autoscaling_config": {"min_replicas": replicas.least, "max_replicas": replicas.most}}
    )
    deployment = serve.deployment(
        serve.ingress(build)(Prompts),
        name=NAME,
        max_ongoing_requests=order.options.queue_rows,
        graceful_shutdown_timeout_s=order.options.drain,
        health_check_period_s=1,
        **number,
    )
    serve.run(deployment.bind(), name=NAME, route_prefix="/")


def serve_on_ray(order: Order, host: str, port: int, replicas: Replicas, address: str | None = None) -> None:
    """`deploy`, until SIGTERM or SIGINT: then replicas answer what they accepted, and leave."""
    told = threading.Event()
    before = {number: signal.signal(number, lambda *_: told.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        deploy(order, host, port, replicas, address)
        told.wait()
    finally:
        import ray
        from ray import serve

        serve.shutdown()
        ray.shutdown()
        for number, handler in before.items():
            signal.signal(number, handler)
