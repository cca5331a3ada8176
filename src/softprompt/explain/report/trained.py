"""What was trained, with what, how long, from which rows, and how to load it: the model card of a report."""

from __future__ import annotations

from pydantic import JsonValue

from softprompt.backbones.source import is_local
from softprompt.evaluation.score import Scores
from softprompt.explain.curves import curves
from softprompt.explain.report.run_files import RunFiles
from softprompt.files import strict_json
from softprompt.methods.registry import METHODS
from softprompt.pages.parts import Code, Facts, Note, Part, Section
from softprompt.training.fitting.best import rank, sound

_PARTS = {"train": "training", "validation": "validation", "test": "test"}
_SCALE = (("GiB", 30), ("MiB", 20), ("KiB", 10))


def trained_section(files: RunFiles) -> Section:
    """The section."""
    parts: list[Part] = [Facts(tuple(_facts(files)))]
    parts += [Note(line) for line in files.lacking]
    found = files.metrics
    kept = chosen_step(found.history, found.metric)
    parts += [_loading(files), *curves(found.history, found.metric, found.validation.rows, kept)]
    lines = (f"T{files.diverged[1:]}",) if files.diverged else ()
    return Section("What was trained", lines, tuple(parts))


def _facts(files: RunFiles) -> list[tuple[str, str]]:
    found, described = files.metrics, files.described
    pairs = [("task", found.task), ("method", _method(found.method))]
    if described is not None:
        used = ", ".join(f"{name}={value!r}" for name, value in described.method.in_use().items())
        pairs += [("options", used or "none"), ("evidence", described.method.evidence)]
    backbone = found.backbone
    if described is not None:
        own = described.record.backbone
        backbone += f": {own.family}, {own.num_parameters:,} frozen parameters in {own.num_layers} layers"
    pairs.append(("backbone", f"{backbone}{f', {found.dtype}' if found.dtype else ''}"))
    share = f"; {found.tunable.sentence()}" if found.tunable is not None else ""
    pairs.append(("trained", f"{found.trained_parameters:,} scalars{share}"))
    pairs.append(("stored", f"{found.stored_parameters:,} scalars, {found.stored_bytes:,} bytes"))
    pairs.append(("time", _time(files)))
    shots = files.identity.get("shots")
    pairs.append(("seed", f"{found.seed}{f', {shots} rows a class' if isinstance(shots, int) else ''}"))
    pairs.append(("rows", f"{_rows(files)} ({found.protocol})"))
    pairs += _reading(files)
    if found.preset is not None:
        pairs.append(("preset", f"{found.preset.name}: {found.preset.run}"))
    pairs.append(("training", _options(found.options.get("training", {}))))
    pairs.append(("versions", ", ".join(f"{name} {number}" for name, number in found.versions.items())))
    return pairs


def _method(name: str) -> str:
    if name not in METHODS:
        return name
    own = METHODS.get(name)
    return f"{name}: {own.title}, {own.url}"


def _time(files: RunFiles) -> str:
    found = files.metrics
    told = f"{found.train_seconds:,.1f} s"
    if found.rows_per_second is not None:
        told += f", {found.rows_per_second:,.1f} rows a second"
    size = next((f"{found.peak_memory_bytes / (1 << shift):.1f} {unit}" for unit, shift in _SCALE), "")
    device = files.identity.get("device")
    return f"{told}, at most {size} of memory{f', on {device}' if isinstance(device, str) else ''}"


def _rows(files: RunFiles) -> str:
    """How many rows each part has, and a hash by which they are known again."""
    told = []
    for part, name in _PARTS.items():
        found = files.rows_hash(part)
        if found is not None:
            told.append(f"{found.count:,} {name} ({found.unordered})")
    return ", ".join(told) or "not recorded"


def _reading(files: RunFiles) -> list[tuple[str, str]]:
    """What the model reads, and what answers it chooses from."""
    task, readout = files.task, None if files.described is None else files.described.record.readout
    if task is None:
        return []
    words = ", ".join(f"{value} = {word!r}" for value, word in task.labels.items())
    pairs = [("template", task.template), ("labels", words)] if words else [("template", task.template)]
    return [*pairs, *([] if readout is None else [("answers", f"read by {readout.name}")])]


def _options(options: dict[str, JsonValue]) -> str:
    told = {name: value for name, value in options.items() if value not in (None, False, [], {})}
    return ", ".join(f"{name} {value}" for name, value in told.items()) or "not recorded"


def _loading(files: RunFiles) -> Code:
    """Lines that load the prompt."""
    name = None if files.described is None else files.described.record.backbone_name
    where = "..." if name is None or is_local(name) else strict_json.dumps(name)
    place = strict_json.dumps(str(files.folder))
    lines = (
        "import softprompt as sp",
        "",
        f"model, tokenizer = sp.load_backbone({where})",
        f"prompt = sp.load({place}, model, tokenizer)",
        'prompt.predict(["..."], returns="probabilities")',
    )
    return Code("How to load it", lines)


def chosen_step(history: list[dict[str, JsonValue]], metric: str) -> float | None:
    """The step whose state was kept, by the rule that training has; None where no evaluation is one to keep."""
    found: list[Scores] = [one for one in history if isinstance(one.get(metric), int | float) and "step" in one]
    found = [one for one in found if sound(one, metric)]
    best = max(found, key=lambda one: rank(one, metric), default=None)
    step = None if best is None else best["step"]
    return float(step) if isinstance(step, int | float) else None
