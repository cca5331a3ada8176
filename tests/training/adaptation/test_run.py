"""LM adaptation: the objective, the stream of examples, bit-identical resume, and what is left behind."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from softprompt.backbones.load import load_backbone
from softprompt.errors import SoftPromptError
from softprompt.training.adaptation.prefix_lm import IGNORED, Chunk, PrefixLM, Stream, chunks, collate, split_chunk
from softprompt.training.adaptation.run import adapt
from softprompt.training.adaptation.texts import read_texts
from softprompt.training.courses.work import Interrupted

from ...shared.adaptation import AdaptInterrupting, folder_of, run, texts, weights
from ...shared.models import EOS, PAD, model, tokenizer


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of("t5", tmp_path_factory.mktemp("t5"))


def test_texts_are_cut_and_split_where_the_paper_says() -> None:
    one = " ".join(f"w{index}" for index in range(10, 27))
    found = chunks([one, "w50", "w60 w61"], tokenizer(), 8)
    assert [len(chunk.ids) for chunk in found] == [8, 8, 2]  # a last piece of one token has no place to split
    assert [chunk.last for chunk in found] == [False, False, True]
    assert sum((list(chunk.ids) for chunk in found[:2]), []) == list(range(10, 26))
    closing = (EOS,)
    assert split_chunk(Chunk((10, 11, 12), True), 1, closing).targets == (11, 12, EOS)
    assert split_chunk(Chunk((10, 11, 12), False), 2, closing).targets == (12,)
    assert split_chunk(Chunk((10, 11, 12), False), 2, closing).inputs == (10, 11, EOS)


def test_a_stream_is_a_function_of_seed_and_number() -> None:
    pieces = chunks(texts(), tokenizer(), 8)
    one, same, other = (Stream(pieces, tokenizer(), 200, seed) for seed in (1, 1, 2))
    straight = [one[index] for index in range(len(one))]
    assert [same[index] for index in reversed(range(200))] == straight[::-1]
    assert [other[index] for index in range(200)] != straight
    # Each pass holds every chunk once, whole on its two sides, in another order.
    closing = len(one.closing)
    joined = [(*pair.inputs[: len(pair.inputs) - closing], *pair.targets) for pair in straight]
    passes = [joined[start : start + len(pieces)] for start in (0, len(pieces))]
    wanted = sorted((*chunk.ids, *(one.closing if chunk.last else ())) for chunk in pieces)
    assert [sorted(each) for each in passes] == [wanted, wanted]
    assert passes[0] != passes[1]
    places = {len(pair.inputs) - closing for pair in straight if len(pair.inputs) + len(pair.targets) >= 8}
    assert places >= set(range(1, 7))


def test_the_loss_is_the_cross_entropy_of_the_targets_alone() -> None:
    pieces = chunks(texts(6), tokenizer(), 8)
    pairs = [Stream(pieces, tokenizer(), 4, 0)[index] for index in range(4)]
    total, count = 0.0, 0
    for pair in pairs:
        with torch.no_grad():
            logits = model("t5")(
                input_ids=torch.tensor([pair.inputs]), decoder_input_ids=torch.tensor([[PAD, *pair.targets[:-1]]])
            ).logits[0]
        logs = logits.log_softmax(-1)
        total -= sum(float(logs[place, token]) for place, token in enumerate(pair.targets))
        count += len(pair.targets)
    batch = collate(pairs, PAD)
    assert int((batch["labels"] != IGNORED).sum()) == count
    import copy

    assert float(PrefixLM(copy.deepcopy(model("t5")))(batch).detach()) == pytest.approx(total / count, rel=1e-5)


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_adapting_learns_and_writes_a_model_that_loads(family: str, tmp_path: Path) -> None:
    source = folder_of(family, tmp_path / "source")
    before = {path.name: path.read_bytes() for path in source.iterdir()}
    done = run(source, tmp_path / "run", steps=60, batch_size=8, learning_rate=0.01)
    history = done.metrics["history"]
    assert history[-1]["step"] == 60
    assert history[-1]["loss"] < history[0]["loss"]
    assert {path.name: path.read_bytes() for path in source.iterdir()} == before
    adapted, words = load_backbone(done.model)
    assert words("w20 w21")["input_ids"] == tokenizer()("w20 w21")["input_ids"]
    changed = [
        name
        for name, weight in adapted.state_dict().items()
        if not torch.equal(weight, model(family).state_dict()[name])
    ]
    assert any("encoder" in name for name in changed)
    assert any("decoder" in name for name in changed)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["metrics.json", "model", "run.json"]


def test_stopped_and_resumed_gives_the_same_bytes(t5: Path, tmp_path: Path) -> None:
    straight = run(t5, tmp_path / "a")
    for step in (3, 5):
        with pytest.raises(Interrupted, match="resume"):
            run(t5, tmp_path / "b", resume=True, progress=AdaptInterrupting(step))
        assert not (tmp_path / "b" / "metrics.json").exists()
        assert not (tmp_path / "b" / "model").exists()
    resumed = run(t5, tmp_path / "b", resume=True)
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    assert [point["loss"] for point in straight.metrics["history"]] == [
        point["loss"] for point in resumed.metrics["history"]
    ]
    assert run(t5, tmp_path / "b", resume=True).metrics == resumed.metrics
    assert weights(run(t5, tmp_path / "c", accumulate=2).folder) != weights(tmp_path / "a")


def test_no_pickle_is_written_or_read(t5: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("torch.load or torch.save was called")

    monkeypatch.setattr(torch, "load", refuse)
    monkeypatch.setattr(torch, "save", refuse)
    with pytest.raises(Interrupted):
        run(t5, tmp_path / "run", progress=AdaptInterrupting(3))
    assert {path.suffix for path in (tmp_path / "run").rglob("*") if path.is_file()} <= {".json", ".safetensors"}
    run(t5, tmp_path / "run", resume=True)


def test_what_cannot_be_adapted_is_refused_in_one_line(t5: Path, tmp_path: Path) -> None:
    with pytest.raises(SoftPromptError, match="no encoder-decoder"):
        run(folder_of("llama", tmp_path / "llama"), tmp_path / "run")
    with pytest.raises(SoftPromptError, match="two tokens"):
        adapt(str(t5), ["w20", ""], output=tmp_path / "run", progress=False)
    with pytest.raises(SoftPromptError, match="steps"):
        run(t5, tmp_path / "run", steps=0)
    assert not (tmp_path / "run").exists()
    run(t5, tmp_path / "run", steps=1)
    with pytest.raises(SoftPromptError, match="holds a run already"):
        run(t5, tmp_path / "run", steps=1)
    with pytest.raises(SoftPromptError, match="another options"):
        run(t5, tmp_path / "run", steps=2, resume=True)


def test_texts_come_from_lines_or_a_column(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one text\n\n another \n")
    (tmp_path / "b.jsonl").write_text('{"body": "w1"}\n{"body": "w2"}\n')
    assert read_texts(tmp_path / "a.txt") == ["one text", "another"]
    assert read_texts(tmp_path / "b.jsonl", "body") == ["w1", "w2"]
    for name, content, message in (
        ("c.txt", "\n \n", "no text"),
        ("d.jsonl", '{"text": 3}\n', "line 1"),
        ("e.csv", "title\nx\n", "'text'"),
        ("f.pdf", "x", "not read"),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(SoftPromptError, match=message):
            read_texts(tmp_path / name)
