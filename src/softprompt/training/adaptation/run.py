r"""Language-model adaptation: an encoder-decoder learns to go on with text before prompts are trained on it.

Lester, Al-Rfou, Constant, "The Power of Scale for Parameter-Efficient Prompt Tuning", EMNLP 2021, section 3.1,
<https://arxiv.org/abs/2104.08691>: T5 1.1 was trained to fill spans behind sentinels and has never seen natural text to
write. A frozen model cannot unlearn that, so its own pre-training goes on for a while with the prefix objective (see
`softprompt.training.adaptation.prefix_lm`), once; the result serves every prompt. The paper takes up to 100,000 steps,
and more are better.

This is the one place where a model's own weights change: a copy that is loaded here, written to a folder of its own.
Open in the paper, and decided here: Adafactor with parameter scaling at a constant rate of 1e-3, T5's own setting for
training on; no dropout, as in the pre-training of T5 1.1; the weights are trained and stored in float32, unless another
type is asked for.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import JsonValue
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from softprompt.backbones.backbone import Backbone
from softprompt.backbones.fingerprint import fingerprint
from softprompt.backbones.load import load_backbone
from softprompt.backbones.settings import usual_settings
from softprompt.backbones.source import name_alone
from softprompt.errors import Interrupted, SoftPromptError
from softprompt.files.manifest import check_files, named, sealed
from softprompt.files.places import METRICS
from softprompt.files.whole import write_json
from softprompt.guards import limits
from softprompt.guards.kinds import several
from softprompt.methods.registry import checked
from softprompt.progress import Progress
from softprompt.ranks import one_process
from softprompt.training.adaptation.kept import place_of, places, write_model
from softprompt.training.adaptation.metrics import read_adapt_metrics
from softprompt.training.adaptation.prefix_lm import Chunk, PrefixLM, Stream, chunks
from softprompt.training.adaptation.trainer import Adaptation, AdaptOptions, AdaptTrainer
from softprompt.training.divergence import Diverged, NotFinite, described, mend
from softprompt.training.fitting import checkpoint
from softprompt.training.fitting.record import load_extra
from softprompt.training.hold import hold_folder
from softprompt.training.measure import peak_memory, reset_peak, versions
from softprompt.training.process import alone, reproducible, stop_signal, whole_seed
from softprompt.training.run_folder import output_folder, take_folder

STATE = "state"
# One chunk in so many is held out to measure on, at most so many in all.
_HELD_SHARE, _HELD_MOST = 20, 64


@dataclass
class Adapted:
    """A finished adaptation.

    Attributes:
        folder: where its files are.
        model: the folder of the adapted model, which `load_backbone` takes.
        models: the folder of every model that was kept, by its step, and of the last one; each is a backbone.
        metrics: what `metrics.json` holds.
    """

    folder: Path
    model: Path
    models: dict[int, Path]
    metrics: dict[str, Any]


@alone()
@usual_settings()
def adapt(
    backbone: str | Path,
    texts: Sequence[str],
    *,
    output: str | Path,
    seed: int = 13,
    resume: bool = False,
    progress: bool | Progress = True,
    dtype: str = "float32",
    device: str | None = None,
    **options: Any,
) -> Adapted:
    """Go on training an encoder-decoder as a prefix language model, and store it.

    Args:
        backbone: a name on the hub or a folder, as `load_backbone` takes it; it is left as it is.
        texts: plain texts; long ones are cut into chunks.
        output: the run's folder; the model is written to `model` in it, beside and renamed into place, and those of
            the option `keep_at` to `kept/step-N`.
        seed: of the order of chunks and of the split points.
        resume: go on with the run that the folder holds.
        progress: whether to show progress, or where.
        dtype: of the weights, as `load_backbone` takes it; in 16 bits small steps get lost.
        device: as `load_backbone` takes it.
        **options: see `AdaptOptions`.

    Returns:
        The run. The same arguments on the same machine give the same weights, resumed or not.

    Raises:
        SoftPromptError: no encoder-decoder, no text that can be split, or a folder that holds something else.
        Diverged: the loss did not stay finite (`softprompt.training.divergence`); no model is written but those that
            were kept before.
        Interrupted: SIGINT or SIGTERM came; the training state is written, and `resume=True` goes on.

    Example:
        >>> done = sp.adapt("tiny-t5", texts, output="adapted", steps=2, batch_size=4, max_length=8, progress=False)
        >>> (done.model / "model.safetensors").is_file()
        True
    """
    one_process("adapt")
    if not isinstance(backbone, str | Path):
        told = type(backbone).__name__
        raise SoftPromptError(f"adapt: trains a copy that it loads itself, not this {told}: give its name")
    seed, texts = whole_seed(seed), several("adapt", "texts", texts, str)
    chosen: AdaptOptions = checked(AdaptOptions, options, "adapt")
    show = progress if isinstance(progress, Progress) else Progress(progress)
    folder = output_folder(output)
    models = places(folder, chosen)
    model, tokenizer = loaded = load_backbone(backbone, dtype=dtype, device=device)
    _check_kind(loaded)
    pieces, run = _pieces(texts, tokenizer, chosen), _Run(model, tokenizer, chosen, seed, folder, show)
    identity = _identity(run, str(backbone), pieces)
    with hold_folder(folder):
        if take_folder(folder, identity, resume):
            show.say(f"{folder}: this run is finished already")
            for kept in models.values():
                check_files(kept, named(kept))
            metrics: dict[str, Any] = read_adapt_metrics(folder / METRICS)
        else:
            with reproducible(seed, chosen.threads):
                told = _adapt(run, pieces)
            own = {key: identity[key] for key in ("task", "backbone", "seed", "options")}
            metrics = sealed({**own, "backbone": name_alone(str(backbone)), **told})
            write_json(folder / METRICS, metrics)
        shutil.rmtree(folder / STATE, ignore_errors=True)  # as large as the model several times over, and done with
    return Adapted(folder, models[chosen.steps], models, metrics)


@dataclass(frozen=True)
class _Run:
    """What an adaptation needs besides its texts."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    options: AdaptOptions
    seed: int
    folder: Path
    show: Progress

    def keep(self, step: int) -> None:
        """Write the model as it is after a step."""
        write_model(self.model, self.tokenizer, place_of(self.folder, step, self.options))


def _check_kind(backbone: Backbone) -> None:
    """Raise `SoftPromptError` where there is nothing to adapt."""
    told = f"backbone {backbone.name} ({backbone.family})"
    if backbone.kind == "encoder":
        raise SoftPromptError(
            f"{told} is no encoder-decoder but an encoder, which writes no text to go on training with: train prompts "
            "on it as it is"
        )
    if backbone.kind != "encoder-decoder":
        raise SoftPromptError(f"{told} is no encoder-decoder: a language model needs no adaptation")
    if not backbone.has_lm_head:
        raise SoftPromptError(f"{told} has no language-model head: name a checkpoint with one")


def _identity(run: _Run, backbone: str, pieces: Sequence[Chunk]) -> dict[str, JsonValue]:
    """What makes two adaptations the same; it stands in `run.json`."""
    return {
        "task": "prefix language modelling",
        "backbone": backbone,
        "seed": run.seed,
        # Without kept models it is the adaptation that earlier versions began.
        "options": run.options.model_dump(mode="json", exclude=None if run.options.keep_at else {"keep_at"}),
        "texts": hashlib.sha256(repr(pieces).encode()).hexdigest(),
        "fingerprint": fingerprint(run.model).model_dump(mode="json"),
        "versions": {**versions()},
    }


def _pieces(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, options: AdaptOptions) -> list[Chunk]:
    for number, text in enumerate(texts, 1):
        limits.check_text(text, f"text {number:,}")
    found = chunks(texts, tokenizer, options.max_length)
    if not found:
        raise SoftPromptError("no text has two tokens or more, so there is nothing to go on with: give longer texts")
    return found


def _adapt(run: _Run, pieces: Sequence[Chunk]) -> dict[str, object]:
    """Train, and write the model; what `metrics.json` tells of it."""
    device = run.model.device
    reset_peak(device)
    held = pieces[::_HELD_SHARE][:_HELD_MOST] if len(pieces) >= 2 * _HELD_SHARE else []
    own = [piece for index, piece in enumerate(pieces) if index % _HELD_SHARE or index // _HELD_SHARE >= len(held)]
    run.show.say(f"{len(own):,} chunks of text to train on, {len(held)} held out; files go to {run.folder}")
    trainer = _trained(run, own, held)
    steps = trainer.state.global_step
    _check(trainer.diverged(), run.options, run.folder)
    if steps < run.options.steps:
        state = run.folder / STATE
        raise Interrupted(f"stopped at step {steps}; {state} holds the state: --resume (resume=True) goes on from it")
    run.keep(steps)
    return {
        "train_seconds": round(trainer.seconds(), 3),
        "chunks": len(own),
        "held_out_chunks": len(held),
        "peak_memory_bytes": peak_memory(device),
        "versions": versions(),
        "history": trainer.history,
    }


def _trained(run: _Run, own: Sequence[Chunk], held: Sequence[Chunk]) -> AdaptTrainer:
    """Train until the last step, until it diverges, or until the run is asked to stop."""
    options, state = run.options, run.folder / STATE
    rows = options.steps * options.batch_size * options.accumulate
    with stop_signal() as stop, run.show.work("adapting", options.steps, "steps") as tick:
        made = Adaptation(
            model=PrefixLM(run.model),
            stream=Stream(own, run.tokenizer, rows, run.seed),
            held=Stream(held, run.tokenizer, len(held), run.seed).examples(),
            filler=int(run.tokenizer.pad_token_id or 0),
            options=options,
            folder=state,
            seed=run.seed,
            keep=run.keep,
        )
        trainer = AdaptTrainer(made, tick, lambda: stop["asked"])
        resumed = checkpoint.latest(state, run.show.say)
        if resumed is not None:
            _check(load_extra(resumed)["diverged"], options, run.folder)
        tick(0 if resumed is None else checkpoint.step_of(resumed))
        trainer.train(resume_from_checkpoint=None if resumed is None else str(resumed))
    return trainer


def _check(fault: NotFinite | None, options: AdaptOptions, folder: Path) -> None:
    if fault is not None:
        # Adafactor clips each update by itself; the norm is Trainer's default.
        tried = mend({"learning_rate": options.learning_rate}, 1.0)
        raise Diverged(f"{described(fault)}; no model is written to {folder}: {tried}", fault, kept=False)
