"""What the guides tell is so: exit codes, faults, how a file is divided, PEFT's names beside ours, the glossary."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

import softprompt as sp
from softprompt.methods import methods

from .shared.commands import Bench, ask, bench
from .shared.models import model, tokenizer

DOCS = Path(__file__).parent.parent / "docs"


def read(name: str) -> str:
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


def table(text: str, head: str) -> list[list[str]]:
    """The rows of the tables whose head begins so."""
    found = re.findall(rf"^\| {re.escape(head)} \|.*\n\|[-|:]+\|\n((?:\|.*\n)+)", text, flags=re.M)
    lines = [line for rows in found for line in rows.splitlines()]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A tiny decoder with a run, and beside it an encoder with its head and one without."""
    made = bench(tmp_path_factory.mktemp("guides"))
    for name, own in (("other", model("llama", seed=3)), ("encoder", model("bert"))):
        own.save_pretrained(made.folder / name)
        tokenizer().save_pretrained(made.folder / name)
    return made


def test_the_table_of_exit_codes_is_true() -> None:
    met = {
        0: ask("tasks", "rte").code,
        1: ask("predict", "/no/such/run", "a text").code,
        2: ask("train", "--no-such-option").code,
    }
    with mock.patch.object(sp.Task, "catalog", side_effect=KeyboardInterrupt):
        met[130] = ask("tasks").code
    assert {code: code for code in met} == met
    assert [int(row[0]) for row in table(read("cli"), "exit code")] == list(met)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("no column 'text' for the field 'text'", {"data": "wrong.csv"}),
        ("label '2' is not one of '0' or '1'", {"data": "labels.csv"}),
        ("(byte 0xe4, which would be 'ä' in Windows-1252)", {"data": "russian.csv"}),
        ("what there is for training and validation of class '0' is 18 rows where 200", {"shots": 100}),
        ("readout 'mask' needs a masked language model", {"set": "readout=mask"}),
        ("readout 'text' needs a model that goes on with a text", {"backbone": "encoder", "set": "readout=text"}),
        ("are the same tokens or differ in spaces alone", {"backbone": "encoder", "task": "alike.yaml"}),
        ("is no folder here, and the hub cannot be reached", {"backbone": "nowhere/model"}),
        ("holds a run already", {"out": "run"}),
    ],
)
def test_a_fault_of_a_training_is_told_as_the_page_has_it(
    line: str, words: dict[str, Any], small: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.chdir(small.folder)
    Path("wrong.csv").write_text("message,label\nw20 w21,0\nw22,1\n")
    Path("labels.csv").write_text("text,label\nw20 w21,0\nw24,2\n")
    Path("russian.csv").write_bytes("text,label\nда,0\n".encode("cp1251"))
    Path("alike.yaml").write_text('name: words\ntemplate: "{text} {mask}"\nlabels: {"0": w10, "1": " w10"}\n')
    told = ask(*small.train(**{"out": "new", **words}), seconds=120)
    assert told.refused, told
    assert line in told.err
    assert line in re.sub(r"\n +", " ", read("troubleshooting"))


@pytest.mark.parametrize("fault", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), None])
def test_too_little_memory_is_told_as_the_page_has_it(fault: Exception | None) -> None:
    """By Python, by a GPU, and by torch's own allocator."""

    def asks() -> None:
        if fault is not None:
            raise fault
        torch.empty(1 << 52)

    with mock.patch.object(sp.Task, "catalog", side_effect=asks):
        told = ask("tasks")
    assert told.refused
    assert told.err.strip() in re.sub(r"\n +", " ", read("troubleshooting"))


def test_a_fault_of_the_library_stays_one() -> None:
    with mock.patch.object(sp.Task, "catalog", side_effect=RuntimeError("a fault")):
        assert isinstance(ask("tasks").raised, RuntimeError)


def test_prompts_and_backbones_that_do_not_fit_are_told_as_the_page_has_it(small: Bench) -> None:
    told = ask("predict", small.run, "w20", "--backbone", small.folder / "other")
    assert told.refused
    assert "made for another backbone" in told.err
    long = ask(*small.train(small.folder / "many"), "--set", "max_length=32", "--set", "num_virtual_tokens=200")
    assert "num_virtual_tokens" in long.err
    with pytest.raises(sp.SoftPromptError, match=re.escape("takes 200 positions, but the backbone (llama) has 64")):
        sp.attach(model("llama"), tokenizer(), sp.PromptTuning(num_virtual_tokens=200))
    for row in table(read("troubleshooting"), "the line says"):
        assert row[0].startswith("`")


def test_a_file_is_divided_as_the_page_has_it() -> None:
    rows = [{"text": f"row {index}", "label": "abc"[index % 3]} for index in range(180)]
    shown = table(read("tasks"), "given")
    assert len(shown) > 4
    for given, *counts in shown:
        words = re.findall(r"--([\w-]+) ([\d.]+)", given)
        options: dict[str, Any] = {name.replace("-", "_"): float(value) for name, value in words}
        whole = {name: int(value) if name != "test_size" else value for name, value in options.items()}
        task = sp.Task(name="own", template="{text} {mask}", labels=["a", "b", "c"]).with_data(rows, **whole)
        found = task.splits()
        assert [len(found.train), len(found.validation), len(found.test)] == list(map(int, counts)), given


def test_names_of_peft_and_ours_are_there() -> None:
    peft = pytest.importorskip("peft")
    configs = [getattr(peft, name) for name in re.findall(r"^\| `(\w+Config)`", read("peft"), flags=re.M)]
    theirs = {one.name for config in configs for one in fields(config)}
    theirs |= {name for kind in (peft.PeftModel, peft.tuners.lora.LoraModel) for name in dir(kind)} | set(dir(peft))
    ours = {name for one in methods().values() for name in (*one.model_fields, type(one()).__name__)}
    ours |= sp.TrainingOptions.model_fields.keys()
    ours |= (
        set(dir(sp.PromptedModel)) | set(dir(sp)) | {"softprompt", "prompted", "prompt", "model", "prompts", "adapter"}
    )
    chosen = " ".join(str(field.annotation) for one in methods().values() for field in one.model_fields.values())
    for left, right, *_ in table(read("peft"), "PEFT"):
        for name in re.findall(r"`(?:model\.)?(\w+)", left):
            assert name in theirs or name.isupper() or name == "model", name
        for name in re.findall(r"`(?:sp\.|prompt\.|prompted\.)?(\w+)", right):
            assert name in ours or f"'{name}'" in chosen, name
        for value in re.findall(r'"(\w\w+)"', right):
            assert f"'{value}'" in chosen, value


def test_the_glossary_is_in_the_order_of_the_alphabet_and_leads_somewhere() -> None:
    parts = re.findall(r"^#### (.+)\n(.+)$", read("glossary"), flags=re.M)
    names = [re.sub("[ -]", "", name) for name, _ in parts]
    assert names == sorted(names)
    assert all(re.search(r"\[.+\]\(.+\)", text) for _, text in parts), "each term leads to its page or to another term"
    others = "".join(page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md") if page.name != "glossary.md")
    named = {name: name.replace(" ", "-") for name, _ in parts}
    unmet = {name for name, anchor in named.items() if f"glossary.md#{anchor})" not in others}
    assert unmet == set(), "no page that uses the term leads to it"
