"""Runs of before the move: finished ones open, and stopped ones go on to the end that they had then.

A run goes on with the libraries that it was begun with alone, so the record of their versions is set to today's. On
the processor that wrote them the ends are the same bytes; elsewhere products are rounded otherwise, so the ends are
compared up to rounding. Bytes are compared where both sides run on one machine: `benchmarks/against.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import softprompt as sp
from softprompt.progress import Progress

from ..fixtures.kinds import LONG, OUTSIDE, PROMPTS, RETRAINED, STOPPED, Bench, Made
from ..fixtures.unpacked import alike, as_of_today

pytestmark = pytest.mark.usefixtures("inside_old")

CAPT = Made("capt", {"init_std": 0.5})
PROMPT = Path("prompt", "prompt.safetensors")
ROUNDED = 2e-3  # of trained numbers: ten steps of 0.01


class Counted(Progress):
    """Keeps the ticks of one work: its first is what was done before."""

    def __init__(self, watched: str) -> None:
        super().__init__(shown=False)
        self.watched, self.ticks, self.told = watched, [], []  # type: ignore[var-annotated]

    def say(self, message: str) -> None:
        self.told.append(message)

    @contextmanager
    def work(self, name: str, total: int, unit: str) -> Iterator[Callable[..., None]]:
        def tick(done: int = 1, note: str | None = None, total: int | None = None) -> None:
            if name == self.watched:
                self.ticks.append(done)

        yield tick


def same_tensors(found: Path, wanted: Path, tolerance: float = ROUNDED) -> None:
    one, other = load_file(found), load_file(wanted)
    assert one.keys() == other.keys()
    for name in other:
        torch.testing.assert_close(one[name], other[name], rtol=tolerance, atol=tolerance, msg=name)


def test_a_finished_run_opens(bench: Bench) -> None:
    stored = json.loads(Path("finished/capt/metrics.json").read_text(encoding="utf-8"))
    opened = sp.open_run("finished/capt", *bench.backbone("llama"))
    assert opened.metrics == stored
    assert opened.predict(["w20 w41"]) == opened.prompt.predict(["w20 w41"])
    assert bench.train(CAPT, "finished/capt", **LONG, resume=True).metrics == stored
    with pytest.raises(sp.SoftPromptError, match="holds a run already"):
        bench.train(CAPT, "finished/capt", **LONG)


@pytest.mark.parametrize("name", PROMPTS)
def test_what_a_finished_run_of_every_course_told_is_read(name: str, bench: Bench, tmp_path: Path) -> None:
    made, run = PROMPTS[name], tmp_path / "run"
    shutil.copytree(Path("told", name), run)
    shutil.copytree(Path("prompts", name), run / "prompt")
    stored = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    assert sp.open_run(run, *bench.backbone(made.backbone)).metrics == stored
    then = {"test_size": 0.1} if "shots" in made.training else {}  # what few shots left over was not tested on
    assert bench.train(made, str(run), resume=True, **then).metrics == stored


@pytest.mark.parametrize("harm", ["metrics.json", "prompt/prompt.safetensors"])
def test_what_a_finished_run_lost_is_made_again_without_a_step(harm: str, bench: Bench, tmp_path: Path) -> None:
    whole, run = Path("finished/capt"), tmp_path / "run"
    shutil.copytree(whole, run)
    as_of_today(run)
    (run / harm).write_bytes(b"{}")
    counted = Counted("training")
    again = bench.train(CAPT, str(run), **LONG, resume=True, progress=counted)
    assert counted.ticks in ([], [10])
    same_tensors(run / PROMPT, whole / PROMPT, 0)
    alike(again.metrics["test"], json.loads((whole / "metrics.json").read_text(encoding="utf-8"))["test"], 1e-3)


def test_a_run_that_diverged_opens_and_says_so_again(bench: Bench) -> None:
    stored = json.loads(Path("finished/diverged/metrics.json").read_text(encoding="utf-8"))
    opened = sp.open_run("finished/diverged", *bench.backbone("llama"))
    assert opened.metrics == stored
    assert opened.predict(["w20 w41"])
    with pytest.raises(
        sp.SoftPromptError, match=rf"diverged at step {stored['diverged']['step']}: .*finished/diverged/prompt"
    ):
        bench.train(Made("prompt_tuning"), "finished/diverged", **{**LONG, "evaluations": 5}, resume=True)


SEARCHED = ("layers_search", "layers_training")


@pytest.mark.parametrize("name", [name for name in STOPPED if name not in SEARCHED])
def test_a_stopped_run_goes_on_to_the_same_end(name: str, bench: Bench, expected: Any) -> None:
    made, watched, _ = STOPPED[name]
    run = Path("stopped", name)
    as_of_today(run)
    scrap = run / ".softprompt-new-0123abcd"  # of a kill
    scrap.mkdir()
    counted = Counted(watched)
    done = bench.train(made, str(run), **LONG, resume=True, progress=counted)
    assert counted.ticks[0] > 1  # it did not begin again
    assert not [line for line in counted.told if "damaged" in line]
    assert not scrap.exists()
    same_tensors(run / PROMPT, Path("expected", f"{name}.safetensors"))
    alike({part: done.metrics[part] for part in expected["stopped"][name]}, expected["stopped"][name], 5e-3)


def test_a_run_goes_on_with_the_same_options_alone(bench: Bench) -> None:
    for name, made, options, differs in (
        ("fit", CAPT, {"max_steps": 11}, r"training_options.max_steps \(10 then, 11 now\)"),
        ("fit", Made("capt", {"init_std": 0.25}), {}, r"method_options.init_std \(0.5 then, 0.25 now\)"),
        ("fit", CAPT, {"seed": 4}, r"seed \(3 then, 4 now\)"),
        ("head", Made("head_only"), {}, "backbone"),
    ):
        with pytest.raises(sp.SoftPromptError, match=f"holds a run with another {differs}"):
            bench.train(made, f"stopped/{name}", **{**LONG, **options}, resume=True)


@pytest.mark.parametrize("name", RETRAINED)
def test_a_seeded_run_ends_as_it_did(name: str, bench: Bench) -> None:
    done = bench.train(PROMPTS[name], f"again/{name}")
    same_tensors(done.folder / PROMPT, Path("prompts", name, PROMPT.name))


@pytest.mark.parametrize("name", SEARCHED)
def test_a_search_that_compared_other_networks_does_not_go_on(name: str, bench: Bench) -> None:
    """Two masks multiplied the gates then, which no value of `consistency_pair` does."""
    as_of_today(Path("stopped", name))
    with pytest.raises(sp.SoftPromptError, match=r"method_options.consistency_pair \(None then, masks now\)"):
        bench.train(STOPPED[name][0], f"stopped/{name}", **LONG, resume=True)


def test_a_selection_of_layers_keeps_what_it_finished(bench: Bench) -> None:
    for run in Path("select/stopped").iterdir():
        as_of_today(run)
    finished = Path("select/stopped/learned1-3/metrics.json")
    before = finished.stat().st_mtime_ns
    with pytest.raises(sp.SoftPromptError, match=r"learned1-4 holds a run with .*consistency_pair"):
        bench.select("select/stopped", seeds=(3, 4))
    assert finished.stat().st_mtime_ns == before


def test_an_adaptation_goes_on_and_its_model_loads(bench: Bench, expected: Any) -> None:
    as_of_today(Path("adapted/stopped"))
    counted = Counted("adapting")
    done = bench.adapt("adapted/stopped", resume=True, progress=counted)
    assert counted.ticks[0] > 1
    same_tensors(done.model / "model.safetensors", Path("expected/adapted.safetensors"))
    alike(done.metrics["history"], expected["adapted"], 5e-3)
    model, tokenizer = sp.load_backbone("adapted/finished/model", dtype="float32")
    same_tensors(Path("adapted/finished/model/model.safetensors"), Path("expected/adapted.safetensors"), 0)
    with sp.attach(model, tokenizer, sp.CaPT()) as prompted:
        assert prompted.anatomy.kind == "encoder-decoder"


# Registers methods, a course and a family, so it has a process of its own; what they warn of is told.
_OUTSIDE = """
import json, shutil, warnings
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always", DeprecationWarning)
    from tests.fixtures import outside
import softprompt as sp
from tests.fixtures.kinds import ASKED, LONG, OUTSIDE, STOPPED_OUTSIDE, Bench, Made, answers
bench, found = Bench(), {"warnings": [str(one.message) for one in told if "softprompt" in str(one.message)]}
for name in OUTSIDE:
    shutil.copytree(f"prompts/{name}", f"told/{name}/prompt")
    told = sp.open_run(f"told/{name}", *bench.backbone("llama")).metrics
    assert told == json.loads(open(f"told/{name}/metrics.json").read())
    found[name] = answers(sp.load(f"prompts/{name}", *bench.backbone("llama")), ASKED["words"])
made = STOPPED_OUTSIDE["course"][0]
done = bench.train(made, "stopped/course", **LONG, resume=True)
found["course"] = {part: done.metrics[part] for part in ("test", "validation", "history")}
found["report"] = json.loads((done.folder / "prompt" / "prompt.json").read_text())["report"]
for name, family in (("decoder_prompt", "t5"), ("moving_prompt", "llama")):
    done = bench.train(Made(name, {}, family), f"more/{name}")
    again = sp.load(done.folder / "prompt", *bench.backbone(family))
    found[name] = answers(again, ASKED["words"])["logits"]
print(json.dumps(found))
"""

# Logits of two of its methods after two steps: of the first as the version before the move had them. The second's
# prompt stood behind the answer's column then, and learned nothing.
_TRAINED = {
    "decoder_prompt": [[0.0385, -0.4379, 0.0047, 0.2429], [0.1593, -0.1989, 0.3794, 0.5266]],
    "moving_prompt": [[0.1430, 0.5982, 0.8560, -0.0818], [0.7722, 0.2355, 0.1378, -0.9998]],
}


def test_methods_of_a_package_and_their_course(expected: Any, old: Path) -> None:
    as_of_today(Path("stopped/course"))
    root = Path(__file__).parents[2]
    given = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *sys.path]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", _OUTSIDE]
    done = subprocess.run(command, cwd=old, env=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for name in OUTSIDE:
        alike(found[name], expected["prompts"][name], 1e-3)
    for name, logits in _TRAINED.items():
        alike(found[name], logits, ROUNDED)
    alike(found["course"], expected["stopped"]["course"], 5e-3)
    same_tensors(old / "stopped" / "course" / PROMPT, old / "expected" / "course.safetensors")
    assert set(found["report"]) == {"first_gradient"}
    assert not found["warnings"]  # what the pages named is where it was
