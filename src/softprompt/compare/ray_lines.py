"""The lines between the executor of a cluster and the process that speaks with Ray."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from softprompt.compare.on_node import Order


class _Line(BaseModel):
    """What parent and child tell one another."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Setup(_Line):
    """The first line to the driver.

    Attributes:
        address: of the cluster that is joined; None starts one on this machine.
        cpus: of the one that is started.
    """

    address: str | None = None
    cpus: int = 1


class Node(_Line):
    """What a machine has."""

    cpus: float = 0.0
    gpus: float = 0.0


class Joined(_Line):
    """The first line from the driver: the machines of the cluster, or why there are none."""

    nodes: tuple[Node, ...] = ()
    fault: str = ""


class Asked(_Line):
    """Each further line to the driver: a cell and its share of a GPU, or without one, to stop."""

    order: Order | None = None
    gpus: float = 0.0
