"""A folder's run goes on with the same rows, options, backbone and libraries, or says which of them is another."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import softprompt as sp
from softprompt.errors import SoftPromptError
from softprompt.training import identity
from softprompt.training.run import Interrupted, Run

from ..shared.models import model, tokenizer
from ..shared.runs import Interrupting

METHOD = sp.PromptTuning(num_virtual_tokens=2)
OPTIONS: dict[str, Any] = {"max_steps": 6, "evaluations": 2, "batch_size": 4, "learning_rate": 1e-2}
DEFINITION: dict[str, Any] = {"template": "{text} {mask}", "labels": {"0": "w10", "1": "w11"}}


def rows(split: str, count: int = 8) -> list[list[str]]:
    first = {"train": 20, "validation": 40, "test": 60}[split]
    return [[f"w{first + index} w{70 + index}", str(index % 2)] for index in range(count)]


def write(folder: Path, **splits: list[list[str]]) -> Path:
    """A published division; rows of three cells name their label last."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "validation", "test"):
        part = splits.get(split, rows(split))
        lines = [json.dumps({"text": text, "label": label}) for text, label in part]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def begin(folder: Path, data: Path, *, backbone: Any = None, method: Any = METHOD, **changes: Any) -> Run:
    given = {**DEFINITION, **{key: changes.pop(key) for key in ("template", "labels", "templates") if key in changes}}
    task = sp.Task(**given).with_data(data, shots=changes.pop("shots", None))
    options = {"output": folder, "seed": 3, "progress": False, **OPTIONS, **changes}
    return sp.train(backbone or model("llama"), tokenizer(), task, method, **options)


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped, with its rows beside it."""
    place = tmp_path_factory.mktemp("half")
    with pytest.raises(Interrupted):
        begin(place / "run", write(place / "data"), progress=Interrupting(3))
    return place


TRAIN = rows("train")
OTHERS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "a label": ({"train": [*TRAIN[:4], [TRAIN[4][0], "1"], *TRAIN[5:]]}, {}, r"\(row 5 has another label\)"),
    "a text": ({"train": [["w9", "0"], *TRAIN[1:]]}, {}, r"training rows were others \(row 1 has another text\)"),
    "the order": ({"train": [*TRAIN[:2], *TRAIN[:1:-1]]}, {}, r"the same rows in another order, from row 3 on"),
    "fewer": ({"train": TRAIN[:6]}, {}, r"training rows were others \(8 rows then, 6 now\)"),
    "validation": ({"validation": rows("validation", 4)}, {}, r"validation rows were others \(8 rows then, 4 now\)"),
    "test": ({"test": [["w9", "0"], *rows("test")[1:]]}, {}, r"test rows were others \(row 1 has another text\)"),
    "shots": ({}, {"shots": 2}, r"another shots \(None then, 2 now\)"),
    "seed": ({}, {"seed": 4}, r"another seed \(3 then, 4 now\)"),
    "template": ({}, {"template": "{text} w9 {mask}"}, r"another task_definition.template \({text} {mask} then"),
    "templates": ({}, {"templates": {"text": "w8 {text} {mask}"}}, r"another task_definition.templates.text \(None"),
    "words": ({}, {"labels": {"0": "w10", "1": "w12"}}, r"another task_definition.labels.1 \(w11 then, w12 now\)"),
    "steps": ({}, {"max_steps": 7}, r"another training_options.max_steps \(6 then, 7 now\)"),
    "tokens": ({}, {"method": sp.PromptTuning(num_virtual_tokens=3)}, r"another method_options.num_virtual_tokens"),
    "method": ({}, {"method": "capt"}, r"another method \(prompt_tuning then, capt now\)"),
}  # fmt: skip


@pytest.mark.parametrize("kind", list(OTHERS))
def test_another_run_is_refused_and_the_field_named(kind: str, half: Path, tmp_path: Path) -> None:
    data, changes, message = OTHERS[kind]
    before = {path: path.read_bytes() for path in (half / "run").rglob("*") if path.is_file()}
    with pytest.raises(SoftPromptError, match=message) as error:
        begin(half / "run", write(tmp_path / "data", **data), resume=True, **changes)
    assert "choose another output" in str(error.value)
    assert "\n" not in str(error.value)
    assert {path: path.read_bytes() for path in (half / "run").rglob("*") if path.is_file()} == before


def test_the_type_and_the_place_of_the_weights(half: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        SoftPromptError,
        match="was trained in float32, and the backbone is in bfloat16 now: load it with --dtype float32",
    ):
        begin(half / "run", half / "data", backbone=model("llama", dtype=torch.bfloat16), resume=True)
    own = identity.identity_of

    def elsewhere(*given: Any) -> dict[str, Any]:
        return {**own(*given), "device": "cuda"}

    monkeypatch.setattr("softprompt.training.specified.identity_of", elsewhere)
    with pytest.raises(SoftPromptError, match="trained on cpu, and the backbone is on cuda now: load it with --device"):
        begin(half / "run", half / "data", resume=True)


def test_other_weights_are_named(half: Path) -> None:
    with pytest.raises(SoftPromptError, match=r"another fingerprint.weights"):
        begin(half / "run", half / "data", backbone=model("llama", seed=1), resume=True)


def test_other_libraries(half: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is not gone on with by others; one that is finished is only read."""
    data = write(tmp_path / "data")
    done = begin(tmp_path / "run", data)
    assert done.metrics["dtype"] == "float32"
    later = {**identity.versions(), "torch": "99.0"}
    monkeypatch.setattr(identity, "versions", lambda: later)
    monkeypatch.setattr("softprompt.training.run.versions", lambda: later)
    with pytest.raises(SoftPromptError, match=r"begun with torch .*, and here is 99\.0, .* go on with torch"):
        begin(half / "run", half / "data", resume=True)
    assert begin(tmp_path / "run", data, resume=True).metrics == done.metrics
    assert sp.open_run(tmp_path / "run", model("llama"), tokenizer()).metrics == done.metrics


def test_a_finished_run_of_other_rows_is_not_given_back(tmp_path: Path) -> None:
    data = write(tmp_path / "data")
    done = begin(tmp_path / "run", data)
    assert begin(tmp_path / "run", data, resume=True).metrics == done.metrics
    write(data, train=[[text, "10"[int(label)]] for text, label in TRAIN])
    with pytest.raises(SoftPromptError, match="row 1 has another label"):
        begin(tmp_path / "run", data, resume=True)


def _changed(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    stored = json.loads(path.read_text())
    change(stored)
    path.write_text(json.dumps(stored))


def test_a_run_of_an_earlier_version_says_so_and_can_be_opened(tmp_path: Path) -> None:
    data = write(tmp_path / "data")
    begin(tmp_path / "run", data)
    _changed(tmp_path / "run" / "run.json", lambda own: own.pop("rows"))
    with pytest.raises(SoftPromptError, match="an earlier version, which recorded no rows"):
        begin(tmp_path / "run", data, resume=True)
    assert sp.open_run(tmp_path / "run", model("llama"), tokenizer()).predict(["w20"])[0] in ("0", "1")


@pytest.mark.parametrize("value", [None, [], {}, {"train": []}, {"train": {"count": 3}}])
def test_a_damaged_record_of_rows_is_one_line(value: Any, half: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_bytes((half / "run" / "run.json").read_bytes())
    _changed(tmp_path / "run" / "run.json", lambda own: own.update(rows=value))
    with pytest.raises(SoftPromptError, match=r"run\.json: rows\.train"):
        begin(tmp_path / "run", half / "data", resume=True)


def test_a_start_that_was_replaced_is_another_start(half: Path, tmp_path: Path) -> None:
    begin(tmp_path / "source", half / "data")
    source = str(tmp_path / "source")
    with pytest.raises(Interrupted):
        begin(tmp_path / "run", half / "data", init_from=source, progress=Interrupting(3))
    tensors = tmp_path / "source" / "prompt" / "prompt.safetensors"
    before = tensors.read_bytes()
    tensors.write_bytes(before[:-4] + b"\0\0\0\0")
    with pytest.raises(SoftPromptError, match="started from another prompt than .*source holds now"):
        begin(tmp_path / "run", half / "data", init_from=source, resume=True)
    tensors.write_bytes(before)
    begin(tmp_path / "run", half / "data", init_from=source, resume=True)


def test_a_table_of_layers_is_of_one_set_of_rows(tmp_path: Path) -> None:
    """`select` reads what is finished, but not what was trained on other shots."""
    data = write(tmp_path / "data")
    chosen: dict[str, Any] = {**OPTIONS, "progress": False, "output": tmp_path / "layers", "arms": ("first", "last")}

    def select(shots: int, seeds: tuple[int, ...]) -> dict[str, Any]:
        task = sp.Task(**DEFINITION).with_data(data, shots=shots)
        return sp.select_layers(model("llama"), tokenizer(), task, "capt", keep=1, seeds=seeds, **chosen)

    select(2, (1,))
    with pytest.raises(SoftPromptError, match=r"first1-1 holds a run with another shots \(2 then, 3 now\)"):
        select(3, (1, 2))


def test_texts_that_stand_twice(tmp_path: Path) -> None:
    """In a published division they stay and are counted; one file is divided without them."""
    test = [TRAIN[0], [f"  {TRAIN[1][0]} ", "0"], rows("validation")[0], *rows("test")[:2]]
    done = begin(
        tmp_path / "published", write(tmp_path / "data", test=test, validation=[TRAIN[2], *rows("validation")])
    )
    assert (done.metrics["test"]["rows"], done.metrics["test"]["seen_rows"]) == (5, 3)
    assert (done.metrics["validation"]["rows"], done.metrics["validation"]["seen_rows"]) == (9, 1)
    assert json.loads((done.folder / "prompt" / "prompt.json").read_text())["metrics"]["seen_rows"] == 3
    texts = [text for text, _ in [*TRAIN, *rows("test")]]
    lines = [
        json.dumps({"text": text, "label": str(index % 2)})
        for index, text in enumerate([*texts, *(text.replace(" ", "  ") for text in texts)])
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    for seed in range(3):
        splits = sp.Task(**DEFINITION).with_data(tmp_path / "rows.jsonl").splits(seed)
        read = {
            part: {" ".join(row.fields["text"].split()) for row in getattr(splits, part)} for part in ("train", "test")
        }
        assert not read["train"] & read["test"]
        assert any("read like rows of another part left out" in note for note in splits.notes)


@pytest.mark.parametrize(("select", "same"), [("all", True), ("learned:1", False)])
def test_an_option_that_came_later_counts_where_it_has_a_part(select: str, same: bool) -> None:
    now = {"method": "capt", "method_options": sp.CaPT(select=select).model_dump(mode="json")}
    options = {name: value for name, value in now["method_options"].items() if name != "consistency_pair"}
    then = {"method": "capt", "method_options": options}
    assert identity.run_difference(then, now, finished=True) is None
    found = identity.run_difference(then, now, finished=False)
    assert (found is None) is same
    assert same or "method_options.consistency_pair (None then, masks now)" in str(found)
