"""`softprompt compare`: what it says before and after, what is done again and what is not, and its exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from transformers import BertModel

from softprompt.compare import outlook

from ..shared.commands import ask, done, found, narrow
from ..shared.here import OneProcess
from ..shared.models import model, tokenizer
from ..shared.tables import write
from ..shared.tables_of_runs import Bench, bench


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return bench(tmp_path_factory.mktemp("bench"))


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells are trained in this process; tests/compare/test_local.py has workers."""
    monkeypatch.setattr("softprompt.compare.local.LocalExecutor", OneProcess)


QUICK = {"max_steps": 2, "evaluations": 1, "batch_size": 4, "learning_rate": 0.01}
GOOD = {"name": "prompt_tuning", "set": {**QUICK, "num_virtual_tokens": 2}}
BAD = {"preset": "lester"}  # of T5, and the backbone is none


def test_faults_are_told_a_line_each_and_nothing_is_begun(own: Bench, tmp_path: Path) -> None:
    plan = own.write(tmp_path / "plan.yaml", methods=[{"name": "lora", "set": {"rnk": 1}}, "cpat"], seeds=[1])
    told = ask("compare", plan, "--out", tmp_path / "out")
    assert (told.code, told.raised) == (1, None)
    lines = told.err.splitlines()
    assert [line.partition("methods")[0] for line in lines] == [f"error: {plan}: "] * 2
    assert "did you mean 'rank'?" in lines[0]
    assert "did you mean 'capt'?" in lines[1]
    assert not (tmp_path / "out").exists()
    keys = own.write(tmp_path / "keys.yaml", sed=3)
    told = ask("compare", keys, "--out", tmp_path / "out")
    assert told.err == f"error: {keys}: sed: there is no such key: did you mean 'seeds'?\n"
    assert ask("compare", "--out", tmp_path / "out").code == 2
    told = ask("compare", tmp_path / "none.yaml", "--out", tmp_path / "out")
    assert told.refused
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    told = ask("compare", own.write(tmp_path / "good.yaml", methods=[GOOD], seeds=[1]), "--out", tmp_path / "run")
    assert told.refused
    assert "holds a run already: choose another folder for the table" in told.err
    assert [one.name for one in (tmp_path / "run").iterdir()] == ["run.json"]


@pytest.mark.usefixtures("here")
def test_a_bad_cell_is_a_line_and_the_rest_of_the_table_comes(own: Bench, tmp_path: Path) -> None:
    """Then it stays as it is until it is asked for; and a changed plan keeps the cells that are the same."""
    out = tmp_path / "out"
    plan = own.write(tmp_path / "plan.yaml", methods=[GOOD, BAD], seeds=[1, 2])
    words = ["compare", plan, "--out", out]
    told = ask(*words, seconds=600)
    assert (told.code, told.raised) == (1, None)
    assert "4 cells: 0 done, 4 to do" in told.err
    assert "failed: words-prompt_tuning@lester-llama-1: preset 'lester' has no run on llama" in told.err
    assert told.err.splitlines()[-1] == "error: 2 of 4 cells failed, as told: mend it and run the same with --retry"
    done = {path: path.stat().st_mtime_ns for path in out.glob("cells/*/metrics.json")}
    assert len(done) == 2
    assert "prompt_tuning" in told.out  # the table of what there is
    assert f"softprompt results {out}" in told.out

    told = ask(*words)  # nothing to do, and quickly so
    assert "4 cells: 2 done, 0 to do" in told.err
    assert told.err.count("failed before: words-prompt_tuning@lester") == 2
    assert told.code == 1
    again = ask(*words, "--retry", "--json", seconds=600)
    assert again.code == 1
    assert again.err.count("failed: words-prompt_tuning@lester") == 2
    states = [cell["state"] for cell in json.loads(again.out)["cells"].values()]
    assert sorted(states) == ["done", "done", "failed", "failed"]

    other = {**GOOD, "set": {**GOOD["set"], "num_virtual_tokens": 3}}  # type: ignore[dict-item]
    changed = own.write(tmp_path / "changed.yaml", methods=[GOOD, other], seeds=[1])
    told = ask("compare", changed, "--out", out, seconds=600)
    assert told.code == 0, told
    assert "2 cells: 1 done, 1 to do" in told.err
    assert "not of this plan, and left as they are: words-prompt_tuning,max_steps=2" in told.err
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert len(list(out.glob("cells/*/metrics.json"))) == 3

    # The ledger is a memory alone: without it the finished cells are read, and no step is taken.
    (out / "compare.json").unlink()
    told = ask("compare", changed, "--out", out, seconds=600)
    assert (told.code, "2 cells: 0 done, 2 to do" in told.err) == (0, True)
    assert {path: path.stat().st_mtime_ns for path in done} == done


def test_a_dry_run_says_what_each_cell_costs_and_writes_nothing(own: Bench, tmp_path: Path) -> None:
    task = f"{own.folder}/task.yaml={own.folder}/rows.jsonl"
    options: list[Any] = ["--out", tmp_path / "out", "--dry-run", "--backbone", own.folder / "llama", "--task", task]
    options += ["--method", "prompt_tuning:num_virtual_tokens=2", "--method", "head_only", "--method", "capt@lester"]
    told = ask("compare", *options)
    assert told.code == 1
    assert "the options: methods[2]: preset lester is of method prompt_tuning: leave the name capt out" in told.err
    options[-1] = "@lester"
    options += ["--seeds", "1,2", "--set", "max_steps=7", "--set", "batch_size=4"]
    cells = found("compare", *options)["cells"]
    assert [cell["rows"] for cell in cells] == [[32, 4, 4]] * 6
    inside, head, bad = cells[:3]
    assert (inside["outlook"]["steps"], inside["outlook"]["step_seconds"] > 0) == (7, True)
    assert (head["outlook"]["step_seconds"], head["outlook"]["row_seconds"] > 0) == (0, True)
    parts = inside["outlook"]
    rows = (7 + 1) * 4 + 4  # no more evaluations than steps, one in the end, and the test rows
    counted = parts["begin_seconds"] + 7 * parts["step_seconds"] + rows * parts["row_seconds"]
    assert parts["seconds"] == pytest.approx(counted)
    assert parts["memory"] > 1e8
    assert (bad["outlook"], "no run on llama" in bad["fault"]) == (None, True)
    assert [cell["outlook"] for cell in cells[3:]] == [cell["outlook"] for cell in cells[:3]]
    assert not (tmp_path / "out").exists()


def test_a_dry_run_foresees_an_option_that_no_part_of_a_cell_hears(own: Bench, tmp_path: Path) -> None:
    task = f"{own.folder}/task.yaml={own.folder}/rows.jsonl"
    options: list[Any] = ["--out", tmp_path / "out", "--backbone", own.folder / "llama", "--task", task, "--seeds", "1"]
    options += ["--method", "prompt_tuning:readout=text,pooling=mean", "--method", "head_only:learning_rate=0.5"]
    options += ["--method", "prompt_tuning:head_learning_rate=0.5", "--method", "head_only", "--set", "max_steps=1"]
    told = done("compare", *options, "--dry-run", "--json")
    cells = json.loads(told.out)["cells"]
    faults = [cell["fault"] for cell in cells]
    assert [fault.split(":")[0] for fault in faults] == ["pooling", "learning_rate", "head_learning_rate", ""]
    assert [cell["outlook"] is None for cell in cells] == [True, True, True, False]
    assert told.err.count("cannot be begun: ") == 2  # the third depends on the backbone
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("here")
def test_the_plan_of_the_page_is_made(tmp_path: Path) -> None:
    """Its files stand where the page has them; the backbone has no head and no words, as MiniLM, but is tiny."""
    page = (Path(__file__).parents[2] / "docs" / "compare.md").read_text(encoding="utf-8")
    plan = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert plan is not None
    BertModel(model("bert").config).save_pretrained(tmp_path / "tiny")
    tokenizer().save_pretrained(tmp_path / "tiny")
    written = plan.group(1).replace("embedded:minilm", "tiny")
    (tmp_path / "plan.yaml").write_text(written, encoding="utf-8")
    for part in ("train", "dev"):
        rows = [f"w20 w{n % 70 + 30} {part}\t{n % 2}" for n in range(80)]
        write(tmp_path / "SST-2" / f"{part}.tsv", "\n".join(["sentence\tlabel", *rows]) + "\n")
    told = ask("compare", tmp_path / "plan.yaml", "--out", tmp_path / "out", seconds=600)
    assert (told.code, told.raised) == (0, None), told
    keys = yaml.safe_load(written)
    count = len(keys["methods"]) * len(keys["seeds"])
    metrics = [json.loads(path.read_text()) for path in (tmp_path / "out").glob("cells/*/metrics.json")]
    assert len(metrics) == count
    assert {one["seed"] for one in metrics} == {*keys["seeds"]}
    assert {one["test"]["rows"] for one in metrics} == {keys["max_test_rows"]}


def test_a_forecast_fits_100_columns(capsys: pytest.CaptureFixture[str]) -> None:
    from softprompt.cli.compare import _show
    from softprompt.compare.forecast import CellForecast, Forecast
    from softprompt.compare.outlook import Outlook

    own = Outlook(
        begin_seconds=1,
        steps=123_456,
        step_seconds=1.5,
        row_seconds=0.1,
        seconds=98_765,
        memory=12_345_678_901,
        least=True,
    )
    rows = (123_456, 7_890, 1_234)
    cells = (
        CellForecast(name="x" * 120, state="left", rows=rows, outlook=own),
        CellForecast(name="done", state="done", rows=rows),
        CellForecast(name="bad", state="left", rows=rows, fault="cannot " * 30),
    )
    _show(Forecast(cells=cells), 2)
    printed = capsys.readouterr().out
    told = [line for line in printed.splitlines() if not line.startswith("cannot be:")]
    assert narrow("\n".join(told))
    assert "> 27 h 26 min" in printed
    assert "3 cells: 1 done, 1 to do, 1 that cannot be" in printed
    assert "about 13 h 43 min or more with 2 workers, 24.7 GB of memory together" in printed


def test_a_step_is_over_once_the_gpu_has_taken_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is handed over in less time than it takes."""
    waited: list[torch.device] = []
    monkeypatch.setattr(outlook, "device_of", lambda model: torch.device("cuda", 1))
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    work = SimpleNamespace(prompted=SimpleNamespace(backbone=None))
    assert outlook._once_done(work) > 0  # type: ignore[arg-type]
    assert waited == [torch.device("cuda", 1)]
