"""Training options: one flat set, with what a method's recipe supplies where the user says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator

from softprompt.errors import SoftPromptError
from softprompt.methods.base import OptimizerName, Recipe
from softprompt.methods.options import Options
from softprompt.methods.registry import checked
from softprompt.readouts.answers import AnswerEnd
from softprompt.readouts.registry import KnownReadout
from softprompt.readouts.spec import MOST_BEAMS, LossName, PoolingName, Scoring
from softprompt.tasks.text.truncation import Truncation

Tracker: TypeAlias = Literal["tensorboard", "mlflow", "wandb", "trackio"]

SHORT, LONG = 256, 512  # see `softprompt.training.lengths`, which chooses where `max_length` is None


class TrainingOptions(Options):
    """Options of training; None takes the method's recipe for the backbone."""

    learning_rate: float | None = Field(None, gt=0, description="of the prompt; default: the method's recipe")
    head_learning_rate: float | None = Field(None, gt=0, description="of a linear head; default: the recipe")
    optimizer: OptimizerName | None = Field(
        None, description="default: the method's recipe; adafactor_t5x is not factored, as Lester et al. run it"
    )
    schedule: Literal["linear", "cosine", "constant"] | None = Field(None, description="default: the recipe")
    warmup_ratio: float | None = Field(None, ge=0, lt=1, description="share of the steps; default: the recipe")
    weight_decay: float | None = Field(None, ge=0, description="decoupled; default: the recipe")
    epochs: int | None = Field(None, ge=1, description="passes over the training rows; default: the recipe")
    max_steps: int | None = Field(None, ge=1, description="stop after so many steps, whatever the epochs")
    batch_size: int | None = Field(None, ge=1, description="rows a step; default: the recipe")
    accumulate: int = Field(1, ge=1, description="batches whose gradients are summed to one step")
    eval_batch_size: int = Field(32, ge=1, description="rows a forward pass outside training")
    evaluations: int = Field(8, ge=1, description="how often the validation rows are looked at over a training")
    patience: int = Field(5, ge=1, description="evaluations without a better one before training stops early")
    max_grad_norm: float = Field(1.0, ge=0, description="gradients are clipped to this norm; 0 leaves them")
    max_length: int | None = Field(
        None,
        ge=8,
        exclude_if=lambda length: length is None,
        description="most tokens of a row, virtual tokens and label among them; default: 256, or 512 where the task "
        "has longer rows and the backbone the positions",
    )
    readout: KnownReadout | None = Field(None, description="default: the method's for the backbone")
    loss: LossName = Field("auto", description="over the label words or the vocabulary")
    pooling: PoolingName = Field("auto", description="of a linear head")
    max_new_tokens: int = Field(
        32, ge=1, description="longest answer of a free-text task; of longer ones the beginning is taught, and told"
    )
    # This and the next five are not written where they are as ever: a run that was begun before them goes on.
    truncation: Truncation = Field(
        "end",
        exclude_if=lambda side: side == "end",
        description="what a too long text loses: its end, its beginning or its middle",
    )
    answer_end: AnswerEnd = Field(
        "auto",
        exclude_if=lambda when: when == "auto",
        description="score an end token behind label words and choices; auto: where one of them begins another",
    )
    scoring: Scoring = Field(
        "acc",
        exclude_if=lambda scoring: scoring == "acc",
        description="compare answers by their log-likelihood (acc) or by that of a character (acc_norm)",
    )
    z_loss: float = Field(
        0.0,
        ge=0,
        exclude_if=lambda weight: weight == 0,
        description="T5X: weight of log(Z)**2 in a loss over the vocabulary, Z its normaliser",
    )
    num_beams: int = Field(
        1,
        ge=1,
        le=MOST_BEAMS,
        exclude_if=lambda beams: beams == 1,
        description="beginnings of a free-text answer that are kept while it is written; 1: greedy",
    )
    length_penalty: float = Field(
        1.0,
        exclude_if=lambda power: power == 1,
        description="of beams: the power of the length by which a text's log-likelihood is divided",
    )
    sentinel_targets: bool = Field(
        False, description="T5: put <extra_id_0> before each answer, as span corruption does"
    )
    init_from: str | None = Field(None, description="folder of a saved prompt of the same method to start from (SPoT)")
    dropout: bool = Field(False, description="let the frozen backbone's dropout work while training")
    gradient_checkpointing: bool = Field(False, description="recompute activations: less memory, more time")
    shard: bool = Field(
        False,
        exclude_if=lambda split: not split,
        description="split the frozen backbone over the ranks that torchrun started (FSDP2)",
    )
    threads: int | None = Field(None, ge=1, le=1024, description="CPU threads; default: torch's own choice")
    # It is never written: a run is the same whoever looks on.
    report_to: tuple[Tracker, ...] = Field(
        (),
        exclude=True,
        description="trackers that show it: tensorboard, mlflow, wandb, trackio, with commas",
    )

    @field_validator("report_to", mode="before")
    @classmethod
    def _listed(cls, given: object) -> object:
        """One name, or several with commas between them, as a command line has them."""
        return tuple(filter(None, map(str.strip, given.split(",")))) if isinstance(given, str) else given or ()


def training_options(named: Mapping[str, object], options: TrainingOptions | None = None) -> TrainingOptions:
    """The options of a training, from a value of them and from single ones by their names.

    Args:
        named: single ones.
        options: a value; None for none.

    Raises:
        SoftPromptError: an unknown option, a value of the wrong type, or one that stands in both.
    """
    if options is None:
        chosen: TrainingOptions = checked(TrainingOptions, named, "training")
        return chosen
    if not isinstance(options, TrainingOptions):
        told = type(options).__name__
        raise SoftPromptError(f"options is of type {told}: give a TrainingOptions, or each option by its name")
    twice = [name for name in named if name in options.model_fields_set]
    if twice:
        raise SoftPromptError(f"{twice[0]} stands in options and is given by its name, too: leave one of them out")
    return training_options({**{name: getattr(options, name) for name in options.model_fields_set}, **named})


class Plan(BaseModel):
    """The options as a run uses them: nothing left open."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    learning_rate: float
    head_learning_rate: float
    optimizer: str
    schedule: str
    warmup_ratio: float
    weight_decay: float
    epochs: int
    batch_size: int
    source: str


def planned(options: TrainingOptions, recipe: Recipe, chosen_by: str | None = None) -> Plan:
    """Fill what was left open from a recipe.

    Args:
        options: the user's.
        recipe: of the method for the backbone.
        chosen_by: where the options come from, as a preset; None for the user.
    """

    def chosen(name: str) -> object:
        own = getattr(options, name)
        return getattr(recipe, name) if own is None else own

    names = [name for name in Plan.model_fields if name != "source"]
    source = recipe.source if options.learning_rate is None else chosen_by or "the user"
    return Plan.model_validate({**{name: chosen(name) for name in names}, "source": source})
