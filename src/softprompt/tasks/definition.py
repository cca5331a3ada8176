"""What a task is: which texts its rows have, which answers there are and how they are scored."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator, model_validator

from softprompt.errors import SoftPromptError, quoted
from softprompt.guards import limits
from softprompt.tasks import facts, in_place, loading
from softprompt.tasks.label_texts import write_labels_as_text
from softprompt.tasks.metrics import METRICS
from softprompt.tasks.origins import Hub, Package, RecordLayout, SplitName
from softprompt.tasks.patterns import Pattern, pattern_of
from softprompt.tasks.text.readout_templates import TemplateKey, TemplateName, template_for
from softprompt.tasks.text.template import CHOICE, RESERVED, Template

TaskKind: TypeAlias = Literal["classification", "regression", "choice", "generation", "tags", "extraction", "fact"]
_DEFAULT_METRIC = {
    "classification": "accuracy",
    "regression": "pearson",
    "choice": "accuracy",
    "generation": "exact_match",
    "tags": "token_accuracy",
    "extraction": "token_f1",
}


class TaskDefinition(BaseModel):
    """What the rows, answers and metrics of a task are; see `softprompt.Task` for the fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = "custom"
    description: str = ""
    aliases: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    kind: TaskKind = "classification"
    fields: tuple[str, ...] = ()
    template: str
    templates: dict[TemplateKey, str] = {}
    labels: dict[str, str] = {}
    seq2seq_labels: dict[str, str] = {}
    label_aliases: dict[str, str] = {}
    label_from_one: bool = False
    positive: str | None = None
    bounds: tuple[float, float] | None = None
    metrics: tuple[str, ...] = Field(default=(), validate_default=True)
    columns: dict[str, tuple[str, ...]] = {}
    headerless: tuple[str, ...] = ()
    files: dict[SplitName, tuple[str, ...]] = {}
    layout: RecordLayout = "table"
    skip_labels: tuple[str, ...] = ()
    skip_incomplete: bool = False
    blank_text: bool = False
    hub: Hub | None = None
    package: Package | None = None
    # Of a task on the way to its runs: these, and what a prompt stores, hold the templates that were taken alone.
    patterns: dict[str, Pattern] = Field(default={}, exclude=True)
    # Not written where they are as ever: a run that was begun before there were these goes on.
    references: bool = Field(False, exclude_if=operator.not_)
    vocabulary: tuple[str, ...] = Field((), exclude_if=operator.not_)
    _worded: str | None = PrivateAttr(default=None)

    def __init__(self, **values: object) -> None:
        """Build a task; see the class for the arguments."""
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SoftPromptError(
                f"task {quoted(values.get('name', 'custom'))}: {loading.first_fault(error, type(self))}"
            ) from None

    @model_validator(mode="before")
    @classmethod
    def _shorthands(cls, values: dict[str, object]) -> dict[str, object]:
        values = dict(values)
        _check_sizes(values)
        if "metric" in values:
            if "metrics" in values:
                raise ValueError("give metric or metrics, not both")
            values["metrics"] = (values.pop("metric"),)
        write_labels_as_text(values)
        for key in ("metrics", "aliases", "fields"):
            if isinstance(values.get(key), str):
                values[key] = (values[key],)
        columns = values.get("columns")
        if isinstance(columns, Mapping):
            values["columns"] = {k: (v,) if isinstance(v, str) else v for k, v in columns.items()}
        in_place.complete(values)
        facts.complete(values)
        if not values.get("fields"):
            templates = values.get("templates")
            others = templates.values() if isinstance(templates, Mapping) else ()
            values["fields"] = _fields_of(values.get("template"), *others)
        if not values.get("metrics"):
            values["metrics"] = (_DEFAULT_METRIC.get(str(values.get("kind", "classification")), "accuracy"),)
        return values

    @field_validator("metrics")
    @classmethod
    def _known_metrics(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        for metric in metrics:
            if metric not in METRICS:
                raise ValueError(f"no metric {metric!r}; the metrics are {', '.join(sorted(METRICS))}")
        return metrics

    @model_validator(mode="after")
    def _templates_fit(self) -> TaskDefinition:
        for name in {*RESERVED, CHOICE} & set(self.fields):
            raise ValueError(f"no field may be called {name!r}, which has a meaning in templates; rename it")
        known = (*self.fields, CHOICE) if self.kind == "choice" else self.fields
        others = (source for pattern in self.patterns.values() for source in pattern.sources)
        for source in (self.template, *self.templates.values(), *others):
            template = Template.parse(source, known)
            if not template.fields:
                raise ValueError(f"template {source!r} names no field; write one as {{text}}")
            if template.has_choice and template.has_mask:
                raise ValueError(f"template {source!r}: {{choice}} is the answer, so no {{mask}} may be there")
        return self

    @model_validator(mode="after")
    def _fits_in_place(self) -> TaskDefinition:
        templates, words = (self.template, *self.templates.values()), (*self.labels.values(),)
        if self.layout == "conll" and self.kind != "tags":
            raise ValueError(f"layout 'conll' has a tag for each word: its kind is tags, not {self.kind}")
        if self.kind == "tags":
            in_place.check_tags(words, self.fields, templates, self.metrics)
        if self.kind == "extraction":
            in_place.check_passage(words, templates)
        return self

    @model_validator(mode="after")
    def _labels_fit(self) -> TaskDefinition:
        if self.kind == "classification" and len(self.labels) < 2:
            raise ValueError("a classification task needs at least two labels, as labels=['terrible', 'great']")
        facts.check(self.kind, self.labels, self.vocabulary)
        if self.kind == "generation" and self.labels:
            raise ValueError("a generation task has no labels; leave them out")
        if self.references and self.kind != "generation":
            raise ValueError(
                f"references gathers the right answers of generation tasks, and this is one of {self.kind}"
            )
        if self.kind == "regression" and self.labels and (len(self.labels) != 2 or self.bounds is None):
            raise ValueError("a regression task has no labels, or two words for the ends of its bounds")
        if self.bounds is not None and not self.bounds[0] < self.bounds[1]:
            raise ValueError("bounds must be two numbers, the least first")
        if self.seq2seq_labels and set(self.seq2seq_labels) != set(self.labels):
            raise ValueError("seq2seq_labels must name the same values as labels")
        for name, pattern in self.patterns.items():
            if any(words and set(words) != set(self.labels) for words in (pattern.labels, pattern.seq2seq_labels)):
                raise ValueError(f"patterns.{name}: its labels must name the same values as the task's")
        for alias, value in self.label_aliases.items():
            if value not in self.labels:
                raise ValueError(f"label_aliases: {alias!r} stands for {value!r}, which labels has not")
        if self.positive is not None and self.positive not in self.labels:
            raise ValueError(f"positive: {self.positive!r} is not one of the labels {', '.join(self.labels)}")
        for metric in self.metrics:
            kinds = METRICS[metric].kinds
            if self.kind not in kinds:
                raise ValueError(f"metric {metric!r} is for {' and '.join(kinds)} tasks, not {self.kind}")
        return self

    def with_template(self, template: str) -> Self:
        """The same task with its rows, in other words.

        Args:
            template: the name of one of its `patterns`, in any spelling, or a template with fields in braces, which
                then serves every readout.

        Raises:
            SoftPromptError: it is neither, or does not fit the task.

        Example:
            >>> task = sp.Task.load("rte")
            >>> task.with_template("{hypothesis} {prompt} Is it so? {mask}").template
            '{hypothesis} {prompt} Is it so? {mask}'
        """
        keys = pattern_of(template, self.patterns, self.name).keys(self.labels)
        checked = type(self)(**{**self.model_dump(), **keys})
        found = self.model_copy(update={key: getattr(checked, key) for key in keys})
        found._worded = template
        return found

    @property
    def worded(self) -> str | None:
        """What `with_template` was given last; None of a task in its own words."""
        return self._worded

    def template_for(self, readout: TemplateName, seq2seq: bool = False) -> Template:
        """The template of a readout.

        A causal text readout's template ends with the mask, one of a sequence-to-sequence model has none (its
        decoder answers), a mask readout's has one anywhere, and a head's has none and by default joins the
        fields with the separator. In a choice task ``{choice}`` may take the mask's part.

        Raises:
            SoftPromptError: the task's template cannot serve the readout.
        """
        return template_for(self.template, tuple(self.templates.items()), readout, seq2seq)

    def label_words(self, seq2seq: bool = False) -> tuple[str, ...]:
        """The label words in the order of the class indices."""
        words = self.seq2seq_labels if seq2seq and self.seq2seq_labels else self.labels
        return tuple(words[value] for value in self.labels)

    @property
    def label_values(self) -> tuple[str, ...]:
        """The data's label values in the order of the class indices."""
        return tuple(self.labels)

    @property
    def metric(self) -> str:
        """The main metric."""
        return self.metrics[0]


def _check_sizes(values: Mapping[str, object]) -> None:
    """Raise `SoftPromptError` where a definition has more or longer names than `limits` allows."""
    for key, limit in (("labels", limits.LABELS), ("seq2seq_labels", limits.LABELS), ("fields", limits.FIELDS)):
        given = values.get(key)
        if isinstance(given, (Mapping, Sequence)) and not isinstance(given, str):
            limits.check(len(given), limit, "entries", f"key {key!r}")
            words = given.values() if isinstance(given, Mapping) else ()
            for entry in map(str, (*given, *words)):
                limits.check_text(entry, f"key {key!r}")
                limits.check(len(entry), limits.NAME, "characters in one entry", f"key {key!r}")
    name = values.get("name")
    if isinstance(name, str):
        limits.check_text(name, "key 'name'")
        limits.check(len(name), limits.NAME, "characters", "key 'name'", "shorten it")


def _fields_of(*sources: object) -> tuple[str, ...]:
    """The fields that templates name, in order; what is no text is the schema's to tell."""
    texts = [source for source in sources if isinstance(source, str)]
    return tuple(dict.fromkeys(name for text in texts for name in Template.parse(text).fields))
