"""`anchor`: what prompts' slots draw to themselves and look at, over rows, layers, heads and runs, beside controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from softprompt.errors import SoftPromptError
from softprompt.explain.anchors.columns import RULES, Structural
from softprompt.explain.anchors.controls import with_random_directions, without_prompt
from softprompt.explain.anchors.flows import AnchorKind, beside, flows_of
from softprompt.explain.anchors.looking import look
from softprompt.explain.anchors.measure import Measures, Meter
from softprompt.explain.anchors.table import COLUMNS, flow_rows
from softprompt.files import strict_json
from softprompt.guards.kinds import several
from softprompt.guards.summaries import Summarised, Summary
from softprompt.inference.batches import Tick
from softprompt.readouts import Readout
from softprompt.sites.attention import Place
from softprompt.sites.producer import Producer
from softprompt.storage.prompt import Prompt
from softprompt.tasks import Row

Seen = dict[Place, Measures]


@dataclass(frozen=True, repr=False)
class Anchors(Summarised):
    """What was seen.

    Attributes:
        kinds: of runs.
        rows: how many rows each of them saw.
        structural: the rule of structural tokens.
    """

    kinds: tuple[AnchorKind, ...]
    rows: int
    structural: str

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return asdict(self)

    def summary(self) -> Summary:
        """What a notebook shows of it."""
        rows = [[kind.name, *row] for kind in self.kinds for row in flow_rows(kind)]
        return Summary(f"Attention over {self.rows} rows", columns=["method", *COLUMNS], rows=rows)


@dataclass(frozen=True)
class AnchorRun:
    """What one prompt was seen to do.

    Attributes:
        prompt: the prompt.
        own: the numbers of each place.
        controls: those of each control, by its name.
        rows: how many it was measured on.
        structural: the rule of structural tokens.
    """

    prompt: Prompt
    own: Seen
    controls: Mapping[str, Seen]
    rows: int
    structural: str


def anchor(
    prompts: Prompt | Sequence[Prompt],
    rows: Sequence[Row],
    *,
    structural: Sequence[str] = RULES,
    controls: bool = True,
    seed: int = 0,
    batch_size: int = 32,
    tick: Tick | None = None,
) -> Anchors:
    """Measure attention between text and slots: virtual tokens, capsules, keys and values in front.

    Args:
        prompts: trained ones with a task; those that differ in their seeds alone are averaged.
        rows: of the task; labels are not needed.
        structural: which tokens are: some of `template`, `special`, `punctuation`, and `word=TEXT`.
        controls: measure also with random directions in the slots, and without the prompt.
        seed: of these directions.
        batch_size: rows a forward pass.
        tick: told how many rows are done: of each prompt all of them, and twice more with controls.

    Raises:
        SoftPromptError: no rows, a prompt without a task or without slots, or a backbone whose attention cannot be
            seen.

    Example:
        >>> run = sp.train(model, tokenizer, task, "capt", output="runs/anchor", max_steps=1, progress=False)
        >>> kind = sp.anchor(run.prompt, task.splits().test).kinds[0]
        >>> 0 < kind.flow("text", "slot").weight < 1, kind.flow("slot", "itself").weight
        (True, 1.0)
    """
    given = [prompts] if isinstance(prompts, Prompt) else several("anchor", "prompts", prompts, Prompt)
    rows, rule = several("anchor", "rows", rows, Row), Structural.of(structural)
    if not given or not rows:
        raise SoftPromptError("anchors are measured on rows of a prompt's task: give prompts and rows")
    for prompt in given:
        check_slots(prompt)
    drawn = seed if controls else None
    return together([anchor_run(one, rows, rule, drawn, batch_size=batch_size, tick=tick) for one in given])


def anchor_run(
    prompt: Prompt,
    rows: Sequence[Row],
    rule: Structural,
    seed: int | None,
    *,
    batch_size: int = 32,
    tick: Tick | None = None,
) -> AnchorRun:
    """What one prompt does; see `anchor`.

    Args:
        prompt: with slots and a task.
        rows: the rows.
        rule: which tokens are structural.
        seed: of the random directions; None for no controls.
        batch_size: rows a forward pass.
        tick: told how many rows are done.
    """
    made = {"own": (prompt.producer, prompt.asked()[1])}
    if seed is not None:
        made |= {"random": with_random_directions(prompt, seed), "removed": without_prompt(prompt)}
    seen = {name: seen_with(prompt, one, rows, rule, batch_size=batch_size, tick=tick) for name, one in made.items()}
    return AnchorRun(prompt, seen.pop("own"), seen, len(rows), str(rule))


def together(runs: Sequence[AnchorRun]) -> Anchors:
    """Runs over the same rows by their kinds, in the order in which these come first."""
    kinds: dict[str, list[AnchorRun]] = {}
    for one in runs:
        kinds.setdefault(kind_key(one.prompt), []).append(one)
    return Anchors(tuple(map(_kind, kinds.values())), runs[0].rows, runs[0].structural)


def _kind(members: Sequence[AnchorRun]) -> AnchorKind:
    first = members[0].prompt
    random, removed = (
        flows_of([one.controls[name] for one in members]) if name in members[0].controls else ()
        for name in ("random", "removed")
    )
    return AnchorKind(
        method=first.method.name,
        options=first.method.in_use(),
        backbone=backbone_name(first),
        task=first.name,
        seeds=tuple(one.prompt.meta.get("seed") for one in members),
        runs=len(members),
        flows=beside(flows_of([one.own for one in members]), random, removed),
    )


def kind_key(prompt: Prompt) -> str:
    """A text that is the same for prompts that differ in their seeds alone."""
    weights = prompt.fingerprint.weights + prompt.fingerprint.head
    return "\n".join((prompt.method.name, strict_json.dumps(prompt.method.in_use()), prompt.name, weights))


def check_slots(prompt: Prompt) -> None:
    """Raise `SoftPromptError` for a prompt without slots or without a task."""
    prompt.asked()
    footprint = prompt.producer.footprint
    if not footprint.count and not footprint.joins:
        raise SoftPromptError(why_no_slots(prompt.method.name))


def why_no_slots(method: str) -> str:
    """Why a method's prompts are refused."""
    return (
        f"method {method!r} has no virtual tokens, and no keys and values in front, for attention to meet: take a "
        "prompt of another method, such as capt or deep_prompt"
    )


def backbone_name(prompt: Prompt) -> str:
    """The name that a prompt's backbone was loaded by, or its family."""
    return str(prompt.meta.get("backbone_name") or prompt.fingerprint.family)


def seen_with(
    prompt: Prompt,
    made: tuple[Producer, Readout],
    rows: Sequence[Row],
    rule: Structural,
    *,
    slots: range | None = None,
    batch_size: int = 32,
    tick: Tick | None = None,
) -> Seen:
    """The numbers of each place with some prompt on a trained one's backbone.

    Args:
        prompt: the trained one.
        made: what is attached, and how its rows are read.
        rows: the rows.
        rule: which tokens are structural.
        slots: the ranks of the virtual tokens that count as slots; None for all.
        batch_size: rows a forward pass.
        tick: told how many rows are done.
    """
    meter = Meter(prompt.backbone.anatomy, len(rows), slots)
    look(prompt.backbone, made, rows, meter, rule, batch_size=batch_size, tick=tick)
    places: tuple[Place, ...] = ("body", "cross", "decoder") if made[0].footprint.decoder_prefix else ("body", "cross")
    return {place: found for place in places if (found := meter.measures(place)) is not None}
