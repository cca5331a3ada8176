"""What a course works with: the trained model, its rows, and stages that resume.

Everything that a course does through its `Work` is remembered in the run's state folder: a finished stage is not run
again, a stage or loop in hand goes on where it was written last, so a resumed run ends in the same bytes. A course
itself is therefore a plain function that starts at its beginning every time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from softprompt.attaching import build
from softprompt.errors import Interrupted
from softprompt.evaluation.evaluate import metrics_of
from softprompt.evaluation.predict import to_device
from softprompt.methods.base import Method
from softprompt.progress import Progress
from softprompt.prompted import PromptedModel
from softprompt.reading import build_readout
from softprompt.sites.modes import evaluating
from softprompt.sites.producer import Producer
from softprompt.storage.tensors import read_json, write_json
from softprompt.tasks import Row, Task
from softprompt.tasks.readouts import Item, Readout
from softprompt.training import checkpoint
from softprompt.training.options import Plan, TrainingOptions
from softprompt.training.selection import rank
from softprompt.training.stage import Stage, train_stage
from softprompt.training.trainer import SoftPromptTrainer, TaskModel


@dataclass
class Work:
    """One run in the hands of its course.

    A course may exchange `method`, `task` and the prompt through `replace`; what stands here when it returns is
    measured and stored.

    Attributes:
        prompted: the attached model, with one prompt.
        task: whose rows it learns.
        method: of the prompt.
        rows: the training rows.
        validation_rows: the rows that choose.
        plan: rates and schedule.
        options: the user's options of training.
        wishes: the readout's options.
        state: the folder of the training state.
        seed: of everything drawn.
        show: progress.
        stopping: whether the run was asked to stop.
        trained: the attached model and its readout: what is trained.
        items: the training rows, encoded.
        validation: the validation rows, encoded.
        report: what the course tells of itself: `metrics.json` and `prompt.json` get it.
        seconds: spent in stages and loops, over interruptions.
        rows_seen: training rows that went through the model in fits.
        history: the evaluations of all stages; those of a named one carry its name in `stage`.
    """

    prompted: PromptedModel
    task: Task
    method: Method
    rows: Sequence[Row]
    validation_rows: Sequence[Row]
    plan: Plan
    options: TrainingOptions
    wishes: dict[str, Any]
    state: Path
    seed: int
    show: Progress
    stopping: Callable[[], bool] = lambda: False
    trained: TaskModel = field(init=False)
    items: list[Item] = field(init=False)
    validation: list[Item] = field(init=False)
    report: dict[str, Any] = field(init=False, default_factory=dict)
    seconds: float = field(init=False, default=0.0)
    rows_seen: int = field(init=False, default=0)
    history: list[dict[str, Any]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        """Build the readout and encode the rows."""
        self._read_out()

    @property
    def producer(self) -> Producer:
        """The prompt."""
        own = self.prompted.prompts[0]
        assert isinstance(own, Producer)
        return own

    @property
    def readout(self) -> Readout:
        """The readout."""
        return self.trained.readout

    @property
    def label_words(self) -> tuple[str, ...]:
        """The task's label words for the backbone."""
        return self.task.label_words(self.prompted.anatomy.kind == "encoder-decoder")

    def trains(self) -> bool:
        """Whether anything has a gradient to follow."""
        return any(p.requires_grad for p in (*self.producer.parameters(), *self.readout.parameters()))

    def fit(
        self,
        stage: str | None = None,
        *,
        plan: Plan | None = None,
        options: TrainingOptions | None = None,
        items: Sequence[Item] | None = None,
        validation: Sequence[Item] | None = None,
        trainer: type[SoftPromptTrainer] = SoftPromptTrainer,
    ) -> dict[str, Any]:
        """Train what has gradients and leave the best state in `trained`; nothing is run if the stage is finished.

        Args:
            stage: its name, also that of its folder in the state; None for the only stage of a run.
            plan: other rates and schedule.
            options: other options of training.
            items: other training rows, encoded.
            validation: other validation rows, encoded.
            trainer: a trainer of the course's own, for instance one with another loss.

        Returns:
            The metrics of the best evaluation.

        Raises:
            Interrupted: the run was asked to stop.
        """
        self.check()
        used, chosen = plan or self.plan, options or self.options
        folder = self.state if stage is None else self.state / stage
        last = checkpoint.latest(folder)
        extra = {} if last is None else checkpoint.load_extra(last)
        if last is not None and extra.get("finished"):
            self.trained.load_state_dict(checkpoint.load_best(last))
            checkpoint.load_random(last)
            steps = checkpoint.step_of(last)
        else:
            own = Stage(
                self.trained,
                self.task,
                used,
                chosen,
                self.items if items is None else items,
                self.validation if validation is None else validation,
                folder,
                self.seed,
                self.show,
                self.stopping,
            )
            if stage is not None:
                self.show.say(f"stage {stage}")
            done = train_stage(own, trainer)
            extra, steps = done.extra(), done.state.global_step
            self.check(f"at step {steps}")
            self.trained.load_state_dict(done.selection.state)
        self.seconds += extra["seconds"]
        self.rows_seen += steps * used.batch_size * chosen.accumulate
        self.history += extra["history"] if stage is None else [{"stage": stage, **one} for one in extra["history"]]
        best: dict[str, Any] = extra["best_metrics"]
        return best

    def best_of(self, stage: str) -> dict[str, Tensor]:
        """The best state of a stage that is finished, for `trained.load_state_dict`."""
        path = checkpoint.latest(self.state / stage)
        assert path is not None, f"stage {stage} is not finished"
        return checkpoint.load_best(path)

    def extra_of(self, stage: str) -> dict[str, Any]:
        """What the trainer of a stage that is finished told besides tensors; see `SoftPromptTrainer.extra`."""
        path = checkpoint.latest(self.state / stage)
        assert path is not None, f"stage {stage} is not finished"
        return checkpoint.load_extra(path)

    def loop(self, stage: str, rounds: int, start: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
        """A loop of the course's own that resumes: its state is written after every round.

        Args:
            stage: its name, also that of its file in the state.
            rounds: how many.
            start: the state before the first round; JSON values only. A text under `note` is shown beside the progress.

        Yields:
            The round's number from 0, and the state, which the body changes in place. A loop that is finished already
            yields nothing, so it has to put into its state all that comes out of it; `loop_state` reads that.

        Raises:
            Interrupted: the run was asked to stop.
        """
        path = self.state / f"{stage}.json"
        begun = time.monotonic()
        fresh: dict[str, Any] = {"done": 0, "seconds": 0.0, "state": start}
        saved = read_json(path) if path.is_file() else fresh
        # Written and read again, so that a resumed loop and a straight one see the same types.
        state = json.loads(json.dumps(saved["state"]))
        before: float = saved["seconds"]
        with self.show.work(stage, rounds, "rounds") as tick:
            tick(saved["done"], total=rounds)
            for index in range(saved["done"], rounds):
                self.check(f"after round {index}")
                yield index, state
                spent = before + time.monotonic() - begun
                write_json(path, {"done": index + 1, "seconds": spent, "state": state})
                tick(1, note=state.get("note"))
        self.seconds += before + time.monotonic() - begun

    def loop_state(self, stage: str) -> dict[str, Any]:
        """The state that a loop ended with."""
        state: dict[str, Any] = read_json(self.state / f"{stage}.json")["state"]
        return state

    def once(self, name: str, compute: Callable[[], Any]) -> Any:
        """A value that is computed once in a run and read from the state from then on; a JSON value."""
        path = self.state / f"{name}.json"
        if not path.is_file():
            write_json(path, {"value": compute()})
        return read_json(path)["value"]

    def gradients(
        self, wanted: Sequence[Tensor], items: Sequence[Item] | None = None, *, batch_size: int = 1
    ) -> Iterator[tuple[Tensor, ...]]:
        """The gradients of the mean loss of batch after batch of training rows, dropout at rest.

        Args:
            wanted: tensors that require gradient and take part in the loss.
            items: encoded rows; all training rows by default.
            batch_size: rows a gradient.

        Yields:
            For each batch the gradient with respect to each wanted tensor, of its shape.

        Raises:
            Interrupted: the run was asked to stop.
        """
        chosen = self.items if items is None else items
        with evaluating(self.trained):
            for start in range(0, len(chosen), batch_size):
                self.check()
                batch = to_device(self.readout.collate(chosen[start : start + batch_size], train=True), self.prompted)
                with torch.enable_grad():
                    yield torch.autograd.grad(self.trained(batch), list(wanted))

    def measure(self, items: Sequence[Item] | None = None) -> dict[str, Any]:
        """Metrics on encoded rows, by default the validation rows."""
        chosen = self.validation if items is None else items
        size = self.options.eval_batch_size
        return metrics_of(
            self.prompted, self.readout, self.task, [item.row for item in chosen], batch_size=size, items=chosen
        )

    def better(self, metrics: dict[str, Any], than: dict[str, Any] | None) -> bool:
        """Whether an evaluation beats another: a higher main metric, then a lower loss. Anything beats None."""
        return than is None or rank(metrics, self.task.metric) > rank(than, self.task.metric)

    def replace(
        self,
        *,
        method: Method | None = None,
        producer: Producer | None = None,
        task: Task | None = None,
    ) -> None:
        """Go on with another prompt or another task; the readout is made anew and rows are encoded anew.

        Args:
            method: the prompt's method from now on, which is what the prompt file names; its prompt is built with the
                run's seed unless `producer` brings one.
            producer: the prompt from now on.
            task: the same rows under another template or other label words.
        """
        self.task, self.method = task or self.task, method or self.method
        if method is not None or producer is not None:
            name = self.prompted.names[0]
            backbone, tokenizer, words = self.prompted.backbone, self.prompted.tokenizer, self.label_words
            made = producer or build(backbone, tokenizer, self.method, label_words=words, seed=self.seed)
            self.prompted.remove(name)
            self.prompted.add(name, made)
        self._read_out()

    def check(self, where: str = "between two steps") -> None:
        """Stop here if the run was asked to.

        Raises:
            Interrupted: it was.
        """
        if self.stopping():
            raise Interrupted(f"stopped {where}; {self.state} holds the state: resume goes on from it")

    def _read_out(self) -> None:
        readout = build_readout(self.task, self.prompted.backbone, self.prompted.tokenizer, self.producer, self.wishes)
        self.trained = TaskModel(self.prompted, readout)
        self.items = [readout.encode(row) for row in self.rows]
        self.validation = [readout.encode(row) for row in self.validation_rows]
