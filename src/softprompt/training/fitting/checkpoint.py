"""A run's training state in safetensors and JSON: everything that the next step depends on, and no pickle."""

from __future__ import annotations

import random
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler
from transformers import TrainerState

from softprompt.errors import SoftPromptError
from softprompt.files import strict_json
from softprompt.files.documents import LONG, read_document
from softprompt.files.manifest import check_files
from softprompt.files.tensors import read_tensors, write_tensors
from softprompt.files.whole import replacing, sync, unwritable
from softprompt.ranks import here

MODEL, BEST, OPTIMIZER, RANDOM = "model.safetensors", "best.safetensors", "optimizer.safetensors", "random.safetensors"
STATE, TRAINER = "state.json", "trainer_state.json"
FILES = (MODEL, BEST, OPTIMIZER, RANDOM, STATE, TRAINER)


def latest(folder: Path, say: Callable[[str], None] = lambda line: None) -> Path | None:
    """The last whole checkpoint; one that was interrupted while it was written never got its name.

    A checkpoint that differs from what was written is set aside under another name. The one before it, or without one
    the beginning, leads to the same bytes.

    Args:
        folder: of a stage.
        say: told of what is set aside.

    Raises:
        SoftPromptError: a damaged one cannot be set aside.
    """

    def look() -> str | None:
        for path in reversed(_of(folder)):
            fault = _fault(path)
            if fault is None:
                return path.name
            say(f"{fault}; kept as {set_aside(path).name}, and training goes on from before it")
        return None

    name = here().first(look)
    return None if name is None else folder / name


def last(folder: Path) -> Path:
    """The last whole checkpoint of a stage that is finished."""
    path = latest(folder)
    assert path is not None, f"stage {folder.name} is not finished"
    return path


def set_aside(path: Path) -> Path:
    """Give what is damaged another name, so that nothing takes it for whole and nothing is lost.

    Raises:
        SoftPromptError: it cannot be renamed.
    """
    aside = path.with_name(f"damaged-{secrets.token_hex(2)}-{path.name}")
    try:
        path.rename(aside)
        sync([path.parent])
    except OSError as error:
        raise unwritable(path, error) from None
    return aside


def _fault(path: Path) -> str | None:
    try:
        check_files(path, FILES)
    except SoftPromptError as error:
        return str(error)
    return None


def _of(folder: Path) -> list[Path]:
    """The checkpoints of a stage in the order of their steps."""
    found = [p for p in folder.glob("checkpoint-*") if p.name.removeprefix("checkpoint-").isdigit()]
    return sorted(found, key=step_of)


def step_of(path: Path) -> int:
    """The step at which a checkpoint was written."""
    return int(path.name.removeprefix("checkpoint-"))


@dataclass(frozen=True)
class TrainingState:
    """What the next step of a training depends on, besides chance.

    Attributes:
        model: what is trained; its state holds the trained parameters.
        optimizer: with its state.
        scheduler: of the learning rate.
        trainer: the trainer's own count of steps.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: LRScheduler
    trainer: TrainerState


def write(folder: Path, training: TrainingState, best: dict[str, Tensor], extra: Mapping[str, object]) -> Path:
    """Write `checkpoint-<step>` whole, and keep the last one before it, should this one come to harm."""
    path = folder / f"checkpoint-{training.trainer.global_step}"
    here().first(lambda: _write(path, training, best, extra))
    return path


def _write(path: Path, training: TrainingState, best: dict[str, Tensor], extra: Mapping[str, object]) -> None:
    folder = path.parent
    for old in [one for one in _of(folder) if one != path][:-1]:
        shutil.rmtree(old, ignore_errors=True)
    tensors, scalars = _optimizer_state(training.optimizer)
    with replacing(path) as beside:
        write_tensors(beside / MODEL, training.model.state_dict())
        write_tensors(beside / BEST, best)
        write_tensors(beside / OPTIMIZER, tensors)
        write_tensors(beside / RANDOM, _random_tensors())
        schedule = training.scheduler.state_dict()
        own = {"optimizer": scalars, "scheduler": schedule, "random": _random_scalars(), **extra}
        strict_json.dump(own, beside / STATE)
        strict_json.dump(asdict(training.trainer), beside / TRAINER)


def load_model(path: Path, model: nn.Module) -> None:
    """Put the checkpoint's trained parameters into the model."""
    model.load_state_dict(read_tensors(path / MODEL))


def load_best(path: Path) -> dict[str, Tensor]:
    """The best state so far; empty before the first evaluation."""
    return read_tensors(path / BEST)


def load_optimizer(path: Path, training: TrainingState) -> None:
    """Restore optimiser and schedule.

    Raises:
        SoftPromptError: they are of another optimiser, which an earlier version took by default.
    """
    own = read_document(path / STATE, longest=LONG)
    if [set(group) for group in own["optimizer"]["groups"]] != [
        set(group) for group in training.optimizer.param_groups
    ]:
        raise SoftPromptError(
            f"{path}: this training was begun with another optimiser, an earlier version's default: choose another "
            "output"
        )
    tensors = read_tensors(path / OPTIMIZER)
    state: dict[int, dict[str, object]] = {}
    for key, value in own["optimizer"]["scalars"].items():
        index, name = key.split("/", 1)
        state.setdefault(int(index), {})[name] = value
    for key, tensor in tensors.items():
        index, name = key.split("/", 1)
        state.setdefault(int(index), {})[name] = tensor
    training.optimizer.load_state_dict({"state": state, "param_groups": own["optimizer"]["groups"]})
    training.scheduler.load_state_dict(own["scheduler"])


def load_random(path: Path) -> None:
    """Restore the random states of Python, numpy and torch."""
    own = read_document(path / STATE, longest=LONG)["random"]
    tensors = read_tensors(path / RANDOM)
    random.setstate((own["python"]["version"], tuple(tensors["python"].tolist()), own["python"]["gauss"]))
    np.random.set_state((own["numpy"]["kind"], tensors["numpy"].numpy().astype(np.uint32), *own["numpy"]["rest"]))
    torch.set_rng_state(tensors["torch"])
    devices = [tensors[name] for name in sorted(tensors) if name.startswith("cuda")]
    if devices and torch.cuda.is_available():
        if len(devices) != torch.cuda.device_count():
            raise SoftPromptError(
                f"{path}: written with {len(devices)} GPUs, and this machine has {torch.cuda.device_count()}: "
                "resume on as many"
            )
        torch.cuda.set_rng_state_all(devices)


def _optimizer_state(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, object]]:
    whole = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    scalars: dict[str, object] = {}
    for index, values in whole["state"].items():
        for name, value in values.items():
            (tensors if isinstance(value, Tensor) else scalars)[f"{index}/{name}"] = value
    return tensors, {"scalars": scalars, "groups": whole["param_groups"]}


def _random_tensors() -> dict[str, Tensor]:
    own = {
        "python": torch.tensor(random.getstate()[1], dtype=torch.int64),
        "numpy": torch.from_numpy(np.asarray(_numpy_state()[1], dtype=np.int64)),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        own |= {f"cuda{i:03}": state for i, state in enumerate(torch.cuda.get_rng_state_all())}
    return own


def _numpy_state() -> tuple[object, ...]:
    """Its name, its numbers `(624,)`, and three scalars more."""
    state = np.random.get_state()
    assert isinstance(state, tuple)
    return state


def _random_scalars() -> dict[str, object]:
    version, _, gauss = random.getstate()
    kind, _, *rest = _numpy_state()
    return {"python": {"version": version, "gauss": gauss}, "numpy": {"kind": kind, "rest": rest}}
