"""What a course works with: the trained model, its rows, and stages that resume.

Everything that a course does through its `Work` is remembered in the run's state folder: a finished stage is not run
again, a stage or loop in hand goes on where it was written last, so a resumed run ends in the same bytes. A course
itself is therefore a plain function that starts at its beginning every time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

from pydantic import JsonValue
from torch import Tensor

from softprompt.attached.attach import build
from softprompt.attached.model import PromptedModel
from softprompt.backbones.backbone import Backbone
from softprompt.errors import Interrupted
from softprompt.evaluation.score import Scores, metrics_of
from softprompt.files import strict_json
from softprompt.methods.base import Method
from softprompt.progress import Progress
from softprompt.ranks import here
from softprompt.readouts import Item, Readout, ReadoutSpec, build_readout
from softprompt.sites.producer import Producer
from softprompt.tasks import Row, Task
from softprompt.training.divergence import NotFinite, of_stage
from softprompt.training.fitting import checkpoint
from softprompt.training.fitting.best import proved, rank
from softprompt.training.fitting.gradients import gradients
from softprompt.training.fitting.record import FitRecord, load_extra
from softprompt.training.fitting.stage import fit_stage
from softprompt.training.fitting.stage_spec import FittedStage, Stage
from softprompt.training.fitting.task_model import TaskModel, TrainedScalars
from softprompt.training.fitting.trainer import SoftPromptTrainer
from softprompt.training.options import Plan, TrainingOptions
from softprompt.training.records import Records

_State = TypeVar("_State", bound=Mapping[str, object])
_Value = TypeVar("_Value")


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
        readout_spec: how the answers are read.
        state: the folder of the training state.
        seed: of everything drawn.
        show: progress.
        stopping: whether the run was asked to stop.
        trained: the attached model and its readout: what is trained.
        items: the training rows, encoded.
        validation: the validation rows, encoded.
        report: what the course tells of itself, JSON values: `course` in `metrics.json`, and in `prompt.json`.
        seconds: spent in stages and loops, over interruptions.
        rows_seen: training rows that went through the model in fits.
        counted: the scalars of the largest fit so far of a prompt that can be stored; None before the first.
        history: the evaluations of all stages; those of a named one carry its name in `stage`.
        records: the JSON files of the state.
        stands_in: the prompt serves a stage alone, and is none that `method` builds.
    """

    prompted: PromptedModel
    task: Task
    method: Method
    rows: Sequence[Row]
    validation_rows: Sequence[Row]
    plan: Plan
    options: TrainingOptions
    readout_spec: ReadoutSpec
    state: Path
    seed: int
    show: Progress
    stopping: Callable[[], bool] = lambda: False
    trained: TaskModel = field(init=False)
    items: list[Item] = field(init=False)
    validation: list[Item] = field(init=False)
    report: dict[str, object] = field(init=False, default_factory=dict)
    seconds: float = field(init=False, default=0.0)
    rows_seen: int = field(init=False, default=0)
    counted: TrainedScalars | None = field(init=False, default=None)
    history: list[dict[str, object]] = field(init=False, default_factory=list)
    stands_in: bool = field(init=False, default=False)
    records: Records = field(init=False)

    def __post_init__(self) -> None:
        """Build the readout and encode the rows."""
        self.records = Records(self.state, self.show.say)
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
    ) -> Scores:
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
            Diverged: the loss did not stay finite; `trained` holds the best finite state, where there was one.
        """
        self.check()
        own = Stage(
            name=stage,
            trained=self.trained,
            task=self.task,
            plan=plan or self.plan,
            options=options or self.options,
            items=self.items if items is None else items,
            validation=self.validation if validation is None else validation,
            folder=self.state if stage is None else self.state / stage,
            seed=self.seed,
            show=self.show,
            stopping=self.stopping,
        )
        fitted = fit_stage(own, trainer)
        self._take(own, fitted)
        return fitted.extra["best_metrics"]

    @property
    def trained_scalars(self) -> TrainedScalars:
        """What was trained of the prompt that is stored and of its readout; without a fit what could have been."""
        return self.counted or self.trained.trained_scalars()

    def _take(self, stage: Stage, fitted: FittedStage) -> None:
        """Take over what a stage ended with, or raise how it diverged."""
        self.check(f"at step {fitted.steps}")
        if not self.stands_in:
            self.counted = max(self.counted or TrainedScalars(0, 0), self.trained.trained_scalars(), key=sum)
        if fitted.state:
            self.trained.load_state_dict(fitted.state)
        extra = fitted.extra
        self.seconds += extra["seconds"]
        self.rows_seen += fitted.steps * stage.plan.batch_size * stage.options.accumulate
        named: dict[str, object] = {} if stage.name is None else {"stage": stage.name}
        self.history += [{**named, **strict_json.finite(one)} for one in extra["history"]]
        if extra["diverged"] is not None:
            fault: NotFinite = {**extra["diverged"], "stage": stage.name, "best_step": extra["best_step"]}
            # A prompt that stands in for a stage alone is none that the method's file could hold.
            kept = bool(fitted.state) and not self.stands_in
            raise of_stage(fault, stage.plan, stage.options, head=self.trained.trained_scalars().head > 0, kept=kept)

    def best_of(self, stage: str) -> dict[str, Tensor]:
        """The best state of a stage that is finished, for `trained.load_state_dict`."""
        return checkpoint.load_best(checkpoint.last(self.state / stage))

    def extra_of(self, stage: str) -> FitRecord:
        """What the trainer of a stage that is finished told besides tensors; see `SoftPromptTrainer.extra`."""
        return load_extra(checkpoint.last(self.state / stage))

    def loop(self, stage: str, rounds: int, start: _State) -> Iterator[tuple[int, _State]]:
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
        with self.show.work(stage, rounds, "rounds") as tick:
            yield from self.records.loop(stage, rounds, start, self.check, tick)
        self.seconds += self.records.loop_of(stage)["seconds"]

    def loop_state(self, stage: str) -> dict[str, JsonValue]:
        """The state that a loop ended with."""
        return self.records.loop_of(stage)["state"]

    def once(self, name: str, compute: Callable[[], _Value]) -> _Value:
        """A value that is computed once in a run and read from the state from then on; a JSON value."""
        saved = self.records.read(name) or self.records.write(name, {"value": compute()})
        return cast("_Value", saved["value"])  # what `compute` gave, as JSON has it

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
            SoftPromptError: a gradient is not finite, so nothing can be told from it.
        """
        rows = self.items if items is None else items
        return gradients(self.trained, wanted, rows, batch_size=batch_size, check=self.check)

    def measure(self, items: Sequence[Item] | None = None) -> Scores:
        """Metrics on encoded rows, by default the validation rows.

        Raises:
            SoftPromptError: they are not finite: the backbone's own scores, which no step mends, are not.
        """
        chosen = self.validation if items is None else items
        rows, size = [item.row for item in chosen], self.options.eval_batch_size
        found = metrics_of(self.prompted, self.readout, self.task, rows, batch_size=size, items=chosen)
        return proved(found, self.task.metric, "validation" if items is None else "training")

    def better(self, metrics: Scores, than: Scores | None) -> bool:
        """Whether an evaluation beats another, as `rank` has it. Anything beats None."""
        return than is None or rank(metrics, self.task.metric) > rank(than, self.task.metric)

    def replace(
        self, *, method: Method | None = None, producer: Producer | None = None, task: Task | None = None
    ) -> None:
        """Go on with another prompt or another task; the readout is made anew and rows are encoded anew.

        Args:
            method: the prompt's method from now on, which is what the prompt file names; its prompt is built with the
                run's seed unless `producer` brings one.
            producer: the prompt from now on; without a method it stands in for a stage, and is never stored.
            task: the same rows under another template or other label words.
        """
        self.task, self.method = task or self.task, method or self.method
        self.stands_in = (producer is not None and method is None) or (self.stands_in and method is None)
        if method is not None or producer is not None:
            own, words = self.prompted, self.label_words
            made = producer or build(own.backbone, own.tokenizer, self.method, label_words=words, seed=self.seed)
            own.remove(name := own.names[0])
            own.add(name, made)
        self._read_out()

    def check(self, where: str = "between two steps") -> None:
        """Stop here if the run was asked to.

        Raises:
            Interrupted: it was.
        """
        if here().any(self.stopping()):
            raise Interrupted(f"stopped {where}; {self.state} holds the state: --resume (resume=True) goes on from it")

    def _read_out(self) -> None:
        backbone = Backbone(self.prompted.backbone, self.prompted.tokenizer)
        readout = build_readout(self.task, backbone, self.producer, self.readout_spec)
        self.trained = TaskModel(self.prompted, readout)
        self.items = [readout.encode(row) for row in self.rows]
        self.validation = [readout.encode(row) for row in self.validation_rows]
