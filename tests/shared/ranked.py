"""Trainings on two ranks: two processes that are started once and train many tiny models one after the other.

Run as a program it is both ranks: what takes seconds to import is imported once, and then the process parts. Each rank
writes `rank-N.json` into the folder that it is given, with what it saw.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SHORT, LONG = {"0": "w10", "1": "w11"}, {"0": "w10", "1": "w11 w12 w13"}
SPT = {"num_virtual_tokens": 1, "bottleneck": 4, "select": "learned:1", "dropout": 0.0, "consistency": "mse"}
HALF = {"token_rates": (0.5,), "piece_rates": (0.5,)}
# Of 31 training rows: five on two ranks are three and two, and in the last batch of an epoch one has none.
QUICK = {"max_steps": 8, "evaluations": 2, "batch_size": 5, "learning_rate": 1e-2, "progress": False}
CASES: dict[str, dict[str, Any]] = {
    "prompt_tuning": {"method": "prompt_tuning"},
    "p_tuning_v2": {"method": "p_tuning_v2", "family": "bert", "readout": "head"},
    "capt": {"method": "capt"},
    "spt": {"method": "spt", "options": SPT, "family": "bert", "readout": "head", "epochs": 2, "max_steps": None},
}
SPLIT = ("prompt_tuning", "p_tuning_v2", "capt")
MORE: dict[str, dict[str, Any]] = {
    "tokens": {"method": "prompt_tuning", "labels": LONG, "readout": "text", "loss": "vocabulary"},
    "accumulated": {"method": "prompt_tuning", "accumulate": 2, "batch_size": 3},
    "kept_states": {"method": "lpt", "options": {"generator": "none"}, "epochs": 3, "max_steps": None},
    "head_only": {"method": "head_only", "family": "bert", "learning_rate": None, "head_learning_rate": 1e-2},
    "xprompt": {"method": "xprompt", "options": HALF},
}


def rows(folder: Path) -> None:
    """The rows of all cases, and others; every rank reads them."""
    from .runs import task

    for name, count in (("rows", 38), ("others", 30)):
        task(folder / name, rows=count)


def trained(folder: Path, case: str, **options: Any) -> Any:
    """One case's run, in a folder beside the rows."""
    from softprompt.methods import method
    from softprompt.tasks import Task
    from softprompt.training.run import train

    from .models import fresh, model, tokenizer

    own = {**QUICK, **{**CASES, **MORE}[case], **options}
    labels, data = own.pop("labels", SHORT), folder.parent / own.pop("data", "rows") / "rows.jsonl"
    task = Task(template="{text} {mask}", labels=labels).with_data(data, seed=1)
    made, family = method(own.pop("method"), **own.pop("options", {})), own.pop("family", "llama")
    backbone = fresh(family) if own.get("shard") else model(family)  # it stays split
    return train(backbone, tokenizer(), task, made, output=folder, seed=3, **own)


def two_ranks(folder: Path, what: str) -> tuple[list[int], list[str]]:
    """Start both, and wait for their ends.

    Args:
        folder: with the rows.
        what: a function of this file.

    Returns:
        The exit codes, and what they said, line by line.
    """
    from torch.distributed import TCPStore

    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # torchrun keeps it, and outlives ranks
    met = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port), "TORCHELASTIC_USE_AGENT_STORE": "True"}
    given = {**os.environ, **met, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-m", "tests.shared.ranked", str(folder), what]
    done = subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, timeout=300, check=False)
    *said, codes = done.stderr.splitlines()
    return json.loads(codes), said


def backbone(folder: Path) -> None:
    """A tiny model and its tokenizer, as files."""
    from .models import fresh, tokenizer

    fresh("llama").save_pretrained(folder)
    tokenizer().save_pretrained(folder)


def torchrun(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`torchrun --nproc-per-node 2 -m softprompt` in a folder."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "softprompt", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


class Watched:
    """What this rank sends, and which files it touches.

    Attributes:
        sent: bytes of every sum over the ranks.
        written: paths that were opened to be written, made, renamed or removed.
    """

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.written: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, given: tuple[Any, ...]) -> None:
        opened = event == "open" and isinstance(given[0], str) and bool(given[2] & (os.O_WRONLY | os.O_RDWR))
        if opened or event in ("os.mkdir", "os.rename", "os.remove", "shutil.rmtree"):
            self.written.append(str(given[0]))

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Count what is summed meanwhile."""
        from torch import distributed

        plain = distributed.all_reduce

        def counting(numbers: Any) -> None:
            self.sent.append(numbers.numel() * numbers.element_size())
            plain(numbers)

        distributed.all_reduce = counting  # type: ignore[assignment]
        try:
            yield
        finally:
            distributed.all_reduce = plain


@contextmanager
def at_step(step: int, action: Callable[[], None]) -> Iterator[None]:
    """Do something after a step of a training."""
    from softprompt.training.fitting.trainer import SoftPromptTrainer

    plain = SoftPromptTrainer.after_step

    def after_step(self: Any) -> None:
        plain(self)
        if self.state.global_step == step:
            action()

    SoftPromptTrainer.after_step = after_step  # type: ignore[method-assign]
    try:
        yield
    finally:
        SoftPromptTrainer.after_step = plain  # type: ignore[method-assign]


def _fault(what: Callable[[], object]) -> tuple[str, str]:
    """The class and the line of what it raises."""
    from softprompt.errors import SoftPromptError

    try:
        what()
    except SoftPromptError as error:
        return type(error).__name__, str(error)
    return "", "trained"


def _stopped(folder: Path, rank: int) -> bool:
    """A run that rank 1 alone is asked to stop, and that goes on."""
    from softprompt.errors import Interrupted

    own = {"method": "p_tuning_v2", "options": {"dropout": 0.2, "num_virtual_tokens": 2}, "family": "llama"}
    trained(folder / "straight", "capt", **own)
    try:
        with at_step(3, lambda: signal.raise_signal(signal.SIGTERM) if rank else None):
            trained(folder / "stopped", "capt", **own)
    except Interrupted:
        trained(folder / "stopped", "capt", resume=True, **own)
        return True
    return False


def everyday(folder: Path) -> None:
    """The cases of every test run, and what is refused."""
    watched, told = Watched(), dict[str, Any]()
    # Ranks that meet for each training anew, as in a script that goes on after a fault.
    told["heard"] = [_fault(lambda: trained(folder / "bad", "capt", learning_rate=-1.0))[0] for _ in range(3)]
    with _joined() as rank:
        with watched.listening():
            trained(folder / "prompt_tuning", "prompt_tuning")
        told["sent"] = watched.sent
        for case in [case for case in CASES if case != "prompt_tuning"]:
            trained(folder / case, case)
        told["stopped"] = _stopped(folder, rank)
        asked = {
            "unlike": {"data": "others" if rank else "rows"},
            "fault": {"learning_rate": -1.0 if rank else 1.0},
            "small": {"batch_size": 1},
            "course": {"method": "soft_words"},
            "coupled": {"method": "smop"},
        }
        told["refused"] = {
            name: _fault(lambda: trained(folder / name, "capt", **own))[1]  # noqa: B023
            for name, own in asked.items()
        }
        told["held"] = _fault(lambda: trained(folder / "capt", "capt"))[1]
        told["again"] = trained(folder / "capt", "capt", resume=True).metrics["test"]
    told["written"] = [name for name in watched.written if name.startswith(f"{folder}{os.sep}")]
    (folder / f"rank-{rank}.json").write_text(json.dumps(told))


def split(folder: Path) -> None:
    """The first cases over a backbone of which each rank has a half, and what is refused of such."""
    told = dict[str, Any]()
    with _joined() as rank:
        told["whole"] = {case: _whole(trained(folder / case, case, shard=True)) for case in SPLIT}
        told["kept"] = _kept_free()
        told["again"] = trained(folder / "capt", "capt", shard=True, resume=True).metrics["test"]
        own = {"spt": CASES["spt"], "lora": {"method": "lora"}, "xprompt": MORE["xprompt"]}
        told["refused"] = {
            name: _fault(lambda: trained(folder / name, "capt", **given, shard=True))[1]  # noqa: B023
            for name, given in own.items()
        }
    (folder / f"rank-{rank}.json").write_text(json.dumps(told))


def _whole(run: Any) -> list[str]:
    """The weights of a run's backbone of which this rank still has all numbers."""
    own = ((name, one) for name, one in run.prompt.model.named_parameters() if not hasattr(one, "device_mesh"))
    return [name for name, one in own if one.untyped_storage().nbytes() > one.element_size()]


def _kept_free() -> int:
    """Bytes of a large tensor that stay this process's once it is dropped."""
    import torch

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = resident()
    torch.ones(1 << 24)  # 64 MB
    return resident() - before


def more(folder: Path) -> None:
    """The other cases."""
    with _joined():
        for case in MORE:
            trained(folder / case, case)


def killed(folder: Path) -> None:
    """Rank 1 is killed between two checkpoints."""
    with _joined() as rank, at_step(6, lambda: signal.raise_signal(signal.SIGKILL) if rank else None):
        trained(folder / "killed", "capt", evaluations=4)


def going_on(folder: Path) -> None:
    """The run of `killed` to its end."""
    with _joined():
        trained(folder / "killed", "capt", evaluations=4, resume=True)


def faulty(folder: Path) -> None:
    """Rank 1 alone has a fault."""
    from softprompt.errors import SoftPromptError

    def fault() -> None:
        raise SoftPromptError("the cable of rank 1 is out: put it back")

    with _joined() as rank, at_step(6, fault if rank else lambda: None):
        trained(folder / "faulty", "capt")


@contextmanager
def _joined() -> Iterator[int]:
    """Both ranks; a fault is told in the words of the command line, and ends the process."""
    from softprompt.errors import SoftPromptError
    from softprompt.ranks import ToldElsewhere, joined

    try:
        with joined() as ranks:
            yield ranks.index
    except ToldElsewhere:
        sys.exit(1)
    except SoftPromptError as error:
        sys.exit(f"error: {error}")


def _main(folder: Path, what: str) -> None:
    import softprompt.training.run  # before the process parts: it takes seconds

    own = softprompt.training.run and globals()[what]
    other = os.fork()
    os.environ["RANK"] = os.environ["LOCAL_RANK"] = "0" if other else "1"
    code = 1
    try:
        own(folder)
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
        if not isinstance(leaving.code, int):
            print(leaving.code, file=sys.stderr, flush=True)
    except Exception:
        traceback.print_exc()
    if not other:
        os._exit(code)
    _, status = os.waitpid(other, 0)
    print(json.dumps([code, os.waitstatus_to_exitcode(status)]), file=sys.stderr)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2])
