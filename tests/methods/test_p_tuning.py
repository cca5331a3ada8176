"""P-Tuning v1: encoders of the official sizes, slots inside a template, the dropped encoder, the tuned backbone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import softprompt as sp
from softprompt.attached.attach import attach, build
from softprompt.methods import PTuning
from softprompt.training.run import Interrupted

from ..shared.by_embeddings import FAMILIES, ROWS, agrees, embedded
from ..shared.commands import Told, ask
from ..shared.models import ids, model, padded, tokenizer
from ..shared.prompts import attached, close, every_family, logits, producer, tiny
from ..shared.runs import Interrupting, run, task

EXAMPLES = {
    "p_tuning": {"method": "p_tuning", "num_virtual_tokens": 4},
    "p_tuning_mlp": {"method": "p_tuning", "num_virtual_tokens": 3, "encoder": "mlp"},
}

ENCODERS = ("lstm", "lstm_few_shot", "mlp")


def by_torch(made: Any, encoder: str) -> Tensor:
    """The rows by torch's own LSTM and the perceptron, with the prompt's weights."""
    p = {name.removeprefix("net."): value.detach() for name, value in made.named_parameters()}
    rows, width = p["table"], p["table"].shape[1]
    mlp = ""
    if encoder != "mlp":
        half = width if encoder == "lstm_few_shot" else width // 2
        lstm = nn.LSTM(width, half, 2, bidirectional=True, batch_first=True)
        state = {}
        for layer in range(2):
            for direction, suffix in (("onward", ""), ("back", "_reverse")):
                for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                    state[f"{kind}_l{layer}{suffix}"] = p[f"0.{direction}.{layer}.{kind}"]
        lstm.load_state_dict(state)
        rows, mlp = lstm(rows[None])[0][0].detach(), "1."
    hidden = torch.relu(rows @ p[f"{mlp}0.weight"].T + p[f"{mlp}0.bias"])
    return hidden @ p[f"{mlp}2.weight"].T + p[f"{mlp}2.bias"]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_the_encoders(family: str, encoder: str) -> None:
    with attached(model(family), PTuning(encoder=encoder, num_virtual_tokens=5)) as prompted:
        agrees(prompted, family, [by_torch(prompted.prompts[0], encoder)] * len(ROWS))


@every_family
@pytest.mark.parametrize("encoder", ENCODERS)
def test_scalars(family: str, encoder: str) -> None:
    """The counts of the official code's modules; stored are k e."""
    with tiny(family, PTuning(encoder=encoder, num_virtual_tokens=6)) as prompted:
        e = prompted.anatomy.embedding_size
        h = {"lstm": e // 2, "lstm_few_shot": e, "mlp": 0}[encoder]
        lstm = 2 * 4 * h * (e + h + 2) + 2 * 4 * h * (2 * h + h + 2)
        perceptron = (2 * h or e) * e + e + e * e + e
        assert sum(p.numel() for p in prompted.parameters() if p.requires_grad) == 6 * e + lstm + perceptron
        if encoder == "lstm":
            assert lstm + perceptron == 2 * 2 * 4 * h * (e + h + 2) + 2 * (e * e + e)
        assert sum(t.numel() for t in prompted.prompts[0].stored().values()) == 6 * e


@torch.no_grad()
def test_first_values() -> None:
    made = build(model("llama"), tokenizer(), PTuning(num_virtual_tokens=64), seed=2)
    assert 0.95 < float(made.table.detach().std()) < 1.05
    cell = made.net[0].onward[0]
    for parameter in cell.parameters():
        assert 0.2 < float(parameter.detach().abs().max()) <= 16**-0.5
    again = build(model("llama"), tokenizer(), PTuning(num_virtual_tokens=64), seed=2)
    assert all(torch.equal(one, two) for one, two in zip(made.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize("encoder", ENCODERS)
@torch.no_grad()
def test_the_encoder_is_dropped_and_the_logits_stay(encoder: str) -> None:
    method = PTuning(encoder=encoder, num_virtual_tokens=4)
    made = producer(model("llama"), method)
    blank = build(model("llama"), tokenizer(), method, blank=True)
    blank.load_stored(made.stored())
    assert [name for name, _ in blank.named_parameters()] == ["table"]
    found = []
    for one in (made, blank):
        with attach(model("llama"), tokenizer(), one) as prompted:
            found.append(logits(prompted, ids(6))[0])
    close(*found, 1e-6)


@pytest.mark.parametrize("family", ["bert", "t5", "llama"])
@torch.no_grad()
def test_slots_anywhere_between_anchor_words(family: str) -> None:
    """Virtual ids within the text: the sequence h_0 h_1, x, anchor, h_2, y of the paper, put together by hand."""
    with attached(model(family), PTuning(num_virtual_tokens=3)) as prompted:
        made, base, row = prompted.prompts[0], prompted.slots[0].base, ids(5)
        rows = by_torch(made, "lstm")
        anchor = torch.tensor([[33]])
        placed = torch.cat([row[:, :1], torch.tensor([[base, base + 1]]), row[:, 1:], anchor], 1)
        placed = torch.cat([placed, torch.tensor([[base + 2]]), anchor], 1)
        text = embedded(family, row)
        word = embedded(family, anchor)
        whole = torch.cat([text[:1], rows[:2], text[1:], word, rows[2:], word])[None]
        found = [logits(prompted, *padded([placed], side, 2))[0] for side in ("left", "right")]
    more = {"decoder_input_ids": torch.tensor([[2, 11, 12, 13]])} if family == "t5" else {}
    expected = model(family)(inputs_embeds=whole, **more).logits[0]
    for one in found:
        close(one, expected, 1e-5)


TEMPLATE = "{prompt:2} {text} w33 {prompt:3} w34 {mask}"


@pytest.mark.parametrize("family", ["bert", "t5", "llama"])
def test_a_template_with_slots_in_its_middle(family: str, tmp_path: Path) -> None:
    """Trained, stored, loaded: the same answers, and the ids really hold the slots where the template says."""
    words = task(tmp_path / "data", template=TEMPLATE)
    method = PTuning(num_virtual_tokens=5)
    done = sp.train(
        model(family), tokenizer(), words, method, output=tmp_path / "run", seed=3, max_steps=4, evaluations=2,
        batch_size=4, progress=False,
    )  # fmt: skip
    assert done.metrics["stored_parameters"] == 5 * 32
    assert list(load_file(tmp_path / "run" / "prompt" / "prompt.safetensors")) == ["table"]
    again = sp.load(tmp_path / "run" / "prompt", model(family), tokenizer())
    texts = ["w20 w41 w42", "w30 w50"]
    for one, two in zip(done.prompt.outcomes(texts), again.outcomes(texts), strict=True):
        close(torch.tensor(one.probabilities), torch.tensor(two.probabilities), 1e-5)
    readout: Any = again.readout
    item = readout.encode(words.rows_of(["w20 w41"])[0])
    given = [i for i in item.texts[0].ids if i < 0 or i in (20, 41, 33, 34)]
    assert given == [-1, -2, 20, 41, 33, -3, -4, -5, 34]


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_train_from_the_command_line(family: str, tmp_path: Path) -> None:
    model(family).save_pretrained(tmp_path / "backbone")
    tokenizer().save_pretrained(tmp_path / "backbone")
    data = tmp_path / "data"
    data.mkdir()
    lines = ["sentence\tlabel", *(f"w{30 + 10 * (i % 2)} w{50 + i}\t{i % 2}" for i in range(12))]
    for split in ("train", "dev", "test"):
        (data / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    (data / "task.yaml").write_text(
        'name: words\ntemplate: "{prompt:2} {sentence} w33 {prompt:1} w34 {mask}"\n'
        'labels: {"0": w10, "1": w11}\nmetrics: [accuracy]\n'
    )

    def train(template_tokens: int, out: str) -> Told:
        return ask(
            "train", "--backbone", tmp_path / "backbone", "--task", data / "task.yaml",
            "--data", data, "--method", "p_tuning", "--set", f"num_virtual_tokens={template_tokens}",
            "--set", "max_steps=2", "--out", tmp_path / out,
        )  # fmt: skip

    assert train(3, "good").code == 0
    metrics = json.loads((tmp_path / "good" / "metrics.json").read_text())
    assert metrics["stored_parameters"] == 3 * 32
    bad = train(4, "bad")
    assert bad.refused
    assert "has places for 3 virtual tokens and the method has 4" in " ".join(bad.err.split())


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_the_backbone_trains_too(family: str, tmp_path: Path) -> None:
    """Its copies move at their own rate, are stored, and the user's model stays as it was; the run resumes exactly."""
    backbone = model(family)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    method = PTuning(num_virtual_tokens=3, train_backbone=True, backbone_rate=0.5)
    file = Path("run") / "prompt" / "prompt.safetensors"
    done = run(tmp_path / "a", family, method, max_steps=6)
    with pytest.raises(Interrupted):
        run(tmp_path / "b", family, method, max_steps=6, progress=Interrupting(2))
    run(tmp_path / "b", family, method, max_steps=6, resume=True)
    assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    after = backbone.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    stored = load_file(tmp_path / "a" / file)
    weights = sum(p.numel() for p in backbone.parameters())
    assert sum(value.numel() for value in stored.values()) == weights + 3 * 32 == done.metrics["stored_parameters"]
    # What is stored is the best state; the last one has moved for certain.
    last = load_file(tmp_path / "a" / "run" / "state" / "checkpoint-6" / "model.safetensors")
    names = {f"prompted.prompts.0.{name}": value for name, value in _copies(backbone).items()}
    moved = [name for name, value in names.items() if name in last and not torch.equal(last[name], value)]
    assert len(moved) > 10
    again = sp.load((tmp_path / "a" / file).parent, backbone, tokenizer())
    texts = ["w20 w41 w42", "w30 w50"]
    for one, two in zip(done.prompt.outcomes(texts), again.outcomes(texts), strict=True):
        close(torch.tensor(one.probabilities), torch.tensor(two.probabilities), 1e-5)


def test_the_backbones_own_rate() -> None:
    made = producer(model("llama"), PTuning(num_virtual_tokens=2, train_backbone=True))
    with attach(model("llama"), tokenizer(), made):
        rates = made.rates()
        assert set(rates.values()) == {0.1}
        assert len(rates) == len(list(model("llama").parameters()))
        assert all(name.startswith("backbone.") for name in rates)


def _copies(backbone: nn.Module) -> dict[str, Tensor]:
    """The backbone's weights by the names that their copies have in the prompt."""
    return {f"backbone.weights.{name.replace('.', '/')}": value for name, value in backbone.named_parameters()}
