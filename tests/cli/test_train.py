"""The command line as a user types it: results, exit codes, and one line for every fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import softprompt as sp


def test_train_evaluate_and_predict(ask: Any, backbone: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    common = ["--task", data / "task.yaml", "--data", data]
    code, printed, _ = ask(
        "train", "--backbone", backbone, *common, "--method", "prompt_tuning", "--out", out,
        "--set", "num_virtual_tokens=3", "--set", "max_steps=2", "--seed", 7,
    )  # fmt: skip
    assert code == 0
    assert "prompt_tuning on words, seed 7" in printed
    assert all(len(line) <= 100 for line in printed.splitlines() if str(out) not in line)
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["trained_parameters"] == 3 * 32
    assert metrics["backbone"] == str(backbone)
    code, printed, _ = ask("evaluate", out, *common, "--json")
    assert code == 0
    assert json.loads(printed)["accuracy"] == metrics["test"]["accuracy"]
    code, printed, _ = ask("evaluate", out, *common)
    assert code == 0
    assert "95 % interval" in printed
    code, printed, _ = ask("predict", out, "w20 w41", "--json")
    assert code == 0
    assert json.loads(printed)[0]["label"] in ("0", "1")
    (tmp_path / "rows.csv").write_text("sentence\nw20 w41\nw30 w50\n")
    code, printed, _ = ask("predict", out, "--file", tmp_path / "rows.csv")
    assert code == 0
    assert len(printed.splitlines()) == 2


def test_lists(ask: Any, backbone: Path) -> None:
    code, printed, _ = ask("methods", "--json", "--backbone", backbone)
    assert code == 0
    found = {m["name"]: m for m in json.loads(printed)}
    assert {
        "capt",
        "prompt_tuning",
        "p_tuning_v2",
        "deep_prompt",
        "hard_prompt",
        "head_only",
        "full_finetuning",
    } <= set(found)
    assert found["capt"]["trained"] == found["capt"]["stored"] == 3 * 32
    assert found["p_tuning_v2"]["stored"] == 2 * 3 * 20 * 2 * 8
    assert found["hard_prompt"]["trained"] == 0
    assert found["capt"]["recipe"]["source"]
    for words in (["methods"], ["methods", "--backbone", str(backbone)], ["tasks"], ["tasks", "rte"], ["doctor"]):
        code, printed, _ = ask(*words)
        assert code == 0
        assert max(map(len, printed.splitlines())) <= 100
    code, printed, _ = ask("tasks", "--json")
    assert {"boolq", "cb", "copa", "multirc", "record", "rte", "wic", "wsc"} <= {t["name"] for t in json.loads(printed)}
    code, printed, _ = ask("doctor", "--json")
    assert any(check["check"] == "versions" for check in json.loads(printed))


@pytest.mark.parametrize("verb", ["train", "evaluate", "predict", "methods", "tasks", "doctor"])
def test_every_verb_has_help_with_an_example(verb: str, ask: Any) -> None:
    code, printed, _ = ask(verb, "--help")
    assert code == 0
    assert f"Example: softprompt {verb}" in " ".join(printed.split())


def _train(**changes: Any) -> Any:
    def words(backbone: Path, data: Path, out: Path) -> list[Any]:
        given = {
            "--backbone": backbone, "--task": data / "task.yaml", "--data": data, "--method": "capt", "--out": out,
            "--set": "max_steps=1", **{f"--{key}": value for key, value in changes.items()},
        }  # fmt: skip
        return ["train", *(word for pair in given.items() if pair[1] is not None for word in pair)]

    return words


def _with_file(name: str, content: bytes, **changes: Any) -> Any:
    def words(backbone: Path, data: Path, out: Path) -> list[Any]:
        folder = out.parent / "bad"
        folder.mkdir()
        for split in ("train", "dev", "test"):
            (folder / f"{split}.tsv").write_bytes((data / f"{split}.tsv").read_bytes())
        (folder / "task.yaml").write_bytes((data / "task.yaml").read_bytes())
        (folder / name).write_bytes(content)
        return _train(**{"data": folder, "task": folder / "task.yaml", **changes})(backbone, data, out)

    return words


YAML = b'name: words\ntemplate: "{sentence} {mask}"\nlabels: {"0": w10, "1": w11}\nmetrics: [accuracy]\n'
FAULTS = {
    "no such backbone": (_train(backbone="/no/such/model"), "/no/such/model"),
    "no such task": (_train(task="sst99"), "sst99"),
    "no such method": (_train(method="magic"), "choose from"),
    "no such data": (_train(data="/no/such/data"), "/no/such/data"),
    "no equals": (_train(set="max_steps"), "name=value"),
    "unknown option": (_train(set="speed=9"), "speed"),
    "wrong type": (_train(set="max_steps=many"), "max_steps"),
    "out of range": (_train(set="num_virtual_tokens=0"), "num_virtual_tokens"),
    "too long a prompt": (_train(set="num_virtual_tokens=64"), "num_virtual_tokens"),
    "readout of another kind": (_train(set="readout=mask"), "readout"),
    "out is a file": (lambda b, d, o: (o.write_text("x"), _train()(b, d, o))[1], "is a file"),
    "empty file": (_with_file("train.tsv", b""), "train.tsv"),
    "header only": (_with_file("train.tsv", b"sentence\tlabel\n"), "train.tsv"),
    "missing column": (_with_file("train.tsv", b"text\tlabel\nw20\t0\n"), "sentence"),
    "label outside the set": (_with_file("train.tsv", b"sentence\tlabel\nw20\t7\n"), "'7'"),
    "wrong encoding": (_with_file("train.tsv", b"sentence\tlabel\n\xff\xfe\xe9\t0\n"), "train.tsv"),
    "row without text": (_with_file("train.tsv", b"sentence\tlabel\n\t0\nw20 w30\t1\n"), "train.tsv"),
    "absent field": (_with_file("task.yaml", YAML.replace(b"{sentence}", b"{sentence} {title}")), "title"),
    "unknown metric": (_with_file("task.yaml", YAML.replace(b"accuracy", b"glory")), "glory"),
    "broken yaml": (_with_file("task.yaml", b"name: [words\n"), "task.yaml"),
    "label word unknown to the model": (_with_file("task.yaml", YAML.replace(b"w11", b"zebra")), "zebra"),
    "fixed text too long": (_with_file("task.yaml", YAML.replace(b"{mask}", b"w9 " * 80 + b"{mask}")), "w9"),
    "too many shots": (_train(shots=500), "500"),
}


@pytest.mark.parametrize("kind", list(FAULTS))
def test_a_fault_is_one_line_and_exit_code_1(kind: str, ask: Any, backbone: Path, data: Path, tmp_path: Path) -> None:
    words, message = FAULTS[kind]
    code, _, err = ask(*words(backbone, data, tmp_path / "out"))
    lines = [line for line in err.splitlines() if line.startswith("error:")]
    assert code == 1, err
    assert len(lines) == 1
    assert err.splitlines()[-1] == lines[0]
    assert message in lines[0]
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "/no/such/run", "text"], "/no/such/run"),
        (["evaluate", "/no/such/run"], "/no/such/run"),
        (["evaluate", "RUN", "--split", "exam"], "exam"),
        (["predict", "RUN"], "nothing to predict"),
        (["predict", "RUN", "--file", "/no/such/rows.csv"], "rows.csv"),
        (["predict", "RUN", "--field", "sentence"], "name=text"),
        (["predict", "RUN", "--field", "title=w20"], "sentence"),
        (["evaluate", "RUN", "--task", "trec"], "labels"),
        (["predict", "RUN", "text", "--backbone", "/no/model"], "/no/model"),
        (["tasks", "nonsense"], "nonsense"),
        (["methods", "--backbone", "/no/model"], "/no/model"),
    ],
)
def test_faults_of_the_other_verbs(words: list[str], message: str, ask: Any, trained: Path) -> None:
    code, _, err = ask(*(str(trained) if word == "RUN" else word for word in words))
    assert code == 1
    assert err.splitlines()[-1].startswith("error:")
    assert message in err.splitlines()[-1]


def test_doctor_cleans_what_the_dead_left(ask: Any, tmp_path: Path) -> None:
    scrap = tmp_path / "runs" / "a" / "state" / ".softprompt-new-0123abcd"
    lost = tmp_path / "runs" / "a" / ".softprompt-old-0123abcd" / "prompt"
    for folder in (scrap, lost):
        folder.mkdir(parents=True)
        (folder / "one").write_text("12345")
    code, printed, _ = ask("doctor", "--clean", tmp_path / "runs")
    assert code == 0
    assert f"removed: {scrap} (5 bytes)" in printed
    assert f"put back: {tmp_path / 'runs' / 'a' / 'prompt'} (5 bytes)" in printed
    assert printed.splitlines()[-1] == "scraps of killed processes that were removed: 1, 5 bytes"
    assert (tmp_path / "runs" / "a" / "prompt" / "one").is_file()
    code, printed, _ = ask("doctor", "--clean", "--json", tmp_path / "runs")
    assert (code, json.loads(printed)) == (0, [])
    for words in (["--clean", tmp_path / "none"], [tmp_path]):
        code, _, err = ask("doctor", *words)
        assert (code, len(err.splitlines())) == (1, 1)


def test_usage_faults_exit_with_2(ask: Any) -> None:
    assert ask("train")[0] == 2
    assert ask("nonsense")[0] == 2


def test_an_unfinished_run_says_how_to_go_on(ask: Any, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes((trained / "run.json").read_bytes())
    code, _, err = ask("predict", tmp_path, "w20")
    assert code == 1
    assert "--resume" in err


@pytest.mark.parametrize(("told", "line"), [("at step 3", "interrupted: at step 3"), ("", "interrupted")])
def test_an_interruption_is_one_line_and_exit_code_130(
    told: str, line: str, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise sp.Interrupted(told) if told else KeyboardInterrupt

    monkeypatch.setattr("softprompt.cli.tasks.emit", stop)
    code, out, err = ask("tasks", "--json")
    assert (code, out, err) == (130, "", f"{line}\n")


def test_the_demo_can_be_interrupted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from softprompt import demo

    def stop(*_: Any) -> Any:
        raise sp.Interrupted("stopped at step 3")

    monkeypatch.setattr(demo, "_runs", stop)
    monkeypatch.setattr("sys.argv", ["demo"])
    with pytest.raises(SystemExit) as ended:
        demo.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted: stopped at step 3\n"


def test_a_loop_that_catches_faults_does_not_swallow_an_interruption() -> None:
    assert not issubclass(sp.Interrupted, (Exception, sp.SoftPromptError))
    assert issubclass(sp.Interrupted, KeyboardInterrupt)
