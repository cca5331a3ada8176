"""`make demo`: five ways to teach Gemma 3 270M the tone of film reviews from 32 rows, side by side."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softprompt.cli.common import interval, quiet, table, tell, telling_interruptions
from softprompt.cli.options import Device, Dtype
from softprompt.cli.program import run
from softprompt.guards.paths import folder_for

if TYPE_CHECKING:
    from softprompt.explain.comparison import Sample
    from softprompt.training.finished import RunMetrics

# Half of the passes that the recipes take, so that two cores without bfloat16 are done within ten minutes.
_SHORTER = {"epochs": 10, "evaluations": 4}
COMPARED: dict[str, dict[str, int]] = {
    "hard_prompt": {},
    "head_only": {},
    "prompt_tuning": _SHORTER,
    "p_tuning_v2": _SHORTER,
    "capt": _SHORTER,
}
BACKBONE, TASK, SHOTS, TEST_ROWS = "embedded:gemma3-270m", "movie_reviews", 16, 200
_SAMPLES = 6  # held-out rows whose answers stand on the page


def demo(
    out: Annotated[Path, typer.Option(help="folder of the demo's runs")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="of the rows and of the prompts")] = 87,
    dtype: Dtype = "auto",
    device: Device = None,
) -> None:
    """Train, compare and store five prompts; a demo that was interrupted goes on where it stopped."""
    quiet()
    folder_for(out, "--out")
    begun = time.monotonic()
    with telling_interruptions():
        found, samples = _runs(out, seed, dtype, device)
    from softprompt.evaluation.score import figure
    from softprompt.explain.comparison import comparison_page
    from softprompt.explain.report.page import report

    title = "Five ways to teach a frozen model"
    page = comparison_page(found, out / "comparison.html", title, samples)
    table(
        f"{TASK}, {SHOTS} rows a class to train on, {TEST_ROWS} held-out rows, seed {seed}",
        ["method", "accuracy [95 % interval]", "trained", "tunable %", "stored bytes", "seconds"],
        [
            [
                run.method,
                interval(run.test.figures(), run.metric),
                f"{run.trained_parameters:,}",
                "" if run.tunable is None else run.tunable.told(),
                f"{run.stored_bytes:,}",
                f"{run.train_seconds:.0f}",
            ]
            for run in found
        ],
        right=(2, 3, 4, 5),
    )
    best = max(found, key=lambda run: figure(run.test.figures(), run.metric))
    tell(f"the demo took {time.monotonic() - begun:.0f} s")
    tell(f"prompts: {out}/<method>/prompt, metrics: {out}/<method>/metrics.json")
    tell(f'ask the best: .venv/bin/softprompt predict {out}/{best.method} "a moving and beautifully acted film"')
    tell(f"all beside one another: {page}")
    tell(f"the best, looked at closely: {report(out / best.method)}")
    tell(f"look around in the browser, ask all of them, train on a table of yours: .venv/bin/softprompt studio {out}")


def _runs(out: Path, seed: int, dtype: str, device: str | None) -> tuple[list[RunMetrics], list[Sample]]:
    """The finished runs, and what their prompts answer to some rows."""
    from softprompt.backbones.load import load_backbone
    from softprompt.evaluation.breakdown import right_answer, text_of
    from softprompt.explain.comparison import Sample
    from softprompt.progress import Progress
    from softprompt.storage.prompt import answers_to
    from softprompt.tasks import Task
    from softprompt.training.options import training_options
    from softprompt.training.run import train

    show = Progress()
    show.say(
        f"loading {BACKBONE} (Gemma is provided under and subject to the Gemma Terms of Use: ai.google.dev/gemma/terms)"
    )
    task = Task.load(TASK, shots=SHOTS, seed=seed, max_test_rows=TEST_ROWS)
    frozen = load_backbone(BACKBONE, dtype=dtype, device=device)
    found, begun, rows, said = [], time.monotonic(), task.splits().test[:_SAMPLES], dict[str, list[str]]()
    for number, (method, options) in enumerate(COMPARED.items(), 1):
        show.say("")
        show.say(f"{number}/{len(COMPARED)} {method}")
        run = train(
            frozen,
            task,
            method,
            training_options(options),
            seed=seed,
            output=out / method,
            resume=(out / method / "run.json").is_file(),
            progress=show,
            backbone=BACKBONE,
        )
        found.append(run.record)
        said[method] = [one.label for one in answers_to(run.prompt, rows)]
        show.say(f"{method}: accuracy {interval(run.record.test.figures(), run.record.metric)}")
        show.say(f"{time.monotonic() - begun:.0f} s so far")
    return found, [
        Sample(text_of(row), right_answer(task, row), {name: labels[place] for name, labels in said.items()})
        for place, row in enumerate(rows)
    ]


def main() -> None:
    """Run the demo; a fault that the user can mend is one line."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(demo)
    run(app)


if __name__ == "__main__":
    main()
