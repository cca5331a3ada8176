"""P-Tuning v2: PEFT's prefix tuning, words' own keys and values, and the re-parametrised table."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PrefixTuningConfig, get_peft_model
from transformers import DynamicCache

from softprompt.attached.attach import attach
from softprompt.compare.layers import select_layers
from softprompt.errors import Interrupted, SoftPromptError
from softprompt.methods import PTuningV2
from softprompt.methods.parts.prefixes import Prefixes
from softprompt.readouts.head import Head
from softprompt.storage.prompt import load
from softprompt.tasks import Task
from softprompt.training.run import train

from ..shared.models import HIDDEN, LAYERS, ids, model, padded, tokenizer
from ..shared.prompts import METHODS, attached, call, close, every_decoder, every_family, logits, producer, tiny
from ..shared.readouts import TEXTS, ids_of, made
from ..shared.runs import PROMPT, Interrupting, run, task

EXAMPLES = {
    "p_tuning_v2": {"method": "p_tuning_v2", "num_virtual_tokens": 3, "init_std": 1.0},
    "p_tuning_v2_projection": {
        "method": "p_tuning_v2",
        "num_virtual_tokens": 2,
        "prefix_projection": True,
        "encoder_hidden_size": 16,
        "init_std": 1.0,
    },
}

P = 5
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def tuned_by_peft(backbone: Any, task: str, **options: Any) -> Any:
    peft = get_peft_model(copy.deepcopy(backbone), PrefixTuningConfig(task_type=task, num_virtual_tokens=P, **options))
    with torch.no_grad():
        for parameter in peft.prompt_encoder.parameters():
            parameter.normal_(0, 0.6, generator=torch.Generator().manual_seed(5))
    return peft.eval()


# A wide window: PEFT's prefix lies in the cache, where a sliding window drops it after a while; here every layer keeps
# its prefix.
@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt2", "gemma3"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_pefts_language_models(family: str, side: str) -> None:
    """PEFT takes no positions from a mask in forward (it counts from the left), so padded rows get theirs here."""
    backbone = model(family, window=64) if family == "gemma3" else model(family)
    peft = tuned_by_peft(backbone, "CAUSAL_LM")
    with attached(backbone, PTuningV2(num_virtual_tokens=P)) as prompted, torch.no_grad():
        prompted.prompts[0].body.table.copy_(peft.prompt_encoder["default"].embedding.weight)
        for rows in ([ids(7, 1)], [ids(7, 1), ids(4, 2)]):
            batch, mask = padded(rows, side)
            for row, mine in zip(rows, logits(prompted, batch, mask), strict=True):
                alone = peft(input_ids=row, attention_mask=torch.ones_like(row)).logits[0]
                close(mine, alone, 1e-5)


@pytest.mark.parametrize("head", ["body", "sequence", "token"])
def test_pefts_bert(head: str) -> None:
    backbone = model("bert").bert if head == "body" else model("bert", head)
    task = {"body": "FEATURE_EXTRACTION", "sequence": "SEQ_CLS", "token": "TOKEN_CLS"}[head]
    peft = tuned_by_peft(backbone, task)
    with attached(backbone, PTuningV2(num_virtual_tokens=P)) as prompted, torch.no_grad():
        prompted.prompts[0].body.table.copy_(peft.prompt_encoder["default"].embedding.weight)
        batch, mask = padded([ids(7, 1), ids(4, 2)], "right")
        mine, theirs = (m(input_ids=batch, attention_mask=mask)[0] for m in (prompted, peft))
        close(*((mine, theirs) if head == "sequence" else (mine[mask.bool()], theirs[mask.bool()])), 1e-5)


def test_pefts_projection() -> None:
    """On GPT-2: where key-value heads are few, PEFT makes its embedding as narrow as they are, not d."""
    peft = tuned_by_peft(model("gpt2"), "CAUSAL_LM", prefix_projection=True, encoder_hidden_size=16)
    theirs = peft.prompt_encoder["default"]
    method = PTuningV2(num_virtual_tokens=P, prefix_projection=True, encoder_hidden_size=16)
    with attached(model("gpt2"), method) as prompted, torch.no_grad():
        mine = prompted.prompts[0].body
        mine.table.copy_(theirs.embedding.weight)
        mine.project.load_state_dict(theirs.transform.state_dict())
        row = ids(7)
        close(prompted(input_ids=row).logits, peft(input_ids=row, attention_mask=torch.ones_like(row)).logits, 1e-5)


@every_decoder
def test_keys_and_values_of_words_are_these_words(family: str) -> None:
    """A prefix that holds the words' own cache continues as after the words."""
    backbone = model(family, window=64) if family == "gemma3" else model(family)
    words, row = ids(4, 8), ids(6, 1)
    cache = DynamicCache()
    with torch.no_grad():
        backbone(input_ids=words, past_key_values=cache, use_cache=True)
        expected = backbone(input_ids=torch.cat([words, row], dim=1)).logits[:, 4:]
    flat = torch.stack([torch.stack([layer.keys[0], layer.values[0]]) for layer in cache.layers])  # [L, 2, K, P, D]
    with attached(backbone, PTuningV2(num_virtual_tokens=4)) as prompted, torch.no_grad():
        prompted.prompts[0].body.table.copy_(flat.permute(3, 0, 1, 2, 4).flatten(1))
        close(prompted(input_ids=row).logits, expected, 1e-5)


@every_family
def test_a_reparametrised_table_is_the_table_that_it_makes(family: str) -> None:
    backbone = model(family)
    with attached(backbone, "p_tuning_v2_projection") as prompted, torch.no_grad():
        expected = call(prompted, ids(6)).logits
        stored = prompted.prompts[0].stored()
        assert list(stored) == ["table"]
    direct = producer(backbone, PTuningV2(num_virtual_tokens=2))
    direct.load_stored(stored)
    again = producer(backbone, "p_tuning_v2_projection", seed=9)
    again.load_stored(stored)
    for prompt in (direct, again):
        with attach(backbone, None, prompt) as prompted, torch.no_grad():
            close(call(prompted, ids(6)).logits, expected, 1e-6)
            assert sum(p.numel() for p in prompt.parameters()) == stored["table"].numel()


@every_family
def test_scalars(family: str) -> None:
    with tiny(family, PTuningV2(num_virtual_tokens=4)) as prompted:
        part = prompted.anatomy
        width = part.num_key_value_heads * part.head_dim
        made = prompted.prompts[0]
        assert isinstance(made, Prefixes)
        assert sum(p.numel() for p in made.parameters()) == 2 * LAYERS * 4 * width
    m = 16
    with tiny(family, PTuningV2(num_virtual_tokens=4, prefix_projection=True, encoder_hidden_size=m)) as prompted:
        total = 4 * HIDDEN + m * (HIDDEN + 1) + (m + 1) * 2 * LAYERS * width
        assert sum(p.numel() for p in prompted.parameters() if p.requires_grad) == total
        assert sum(value.numel() for value in prompted.prompts[0].stored().values()) == 2 * LAYERS * 4 * width


def test_dropout_falls_on_keys_and_values_while_training_only() -> None:
    with tiny("llama", PTuningV2(num_virtual_tokens=4, init_std=1.0, dropout=0.5)) as prompted, torch.no_grad():
        row = ids(5)
        still = prompted(input_ids=row).logits
        assert torch.equal(prompted(input_ids=row).logits, still)
        prompted.train()
        assert not torch.equal(prompted(input_ids=row).logits, still)


def _head_of(folder: Path) -> dict[str, Any]:
    head: dict[str, Any] = json.loads((folder / "prompt" / "prompt.json").read_text())["readout"]
    return head


def test_on_an_encoder_the_head_reads_the_first_token_unless_the_user_says_where(tmp_path: Path) -> None:
    task = Task(template="{text} {mask}", labels={"0": "w10", "1": "w11"})
    for options, place in (({}, 0), ({"pooling": "mean"}, None), ({"pooling": "last"}, -1)):
        prompted, readout = made(task, "bert", PTuningV2(num_virtual_tokens=3), **options)
        assert isinstance(readout, Head)
        with prompted, torch.no_grad():
            found = readout.features(prompted, readout.collate([readout.encode(row) for row in task.rows_of(TEXTS)]))
            for row, text in zip(found, TEXTS, strict=True):
                states = prompted.states(input_ids=torch.tensor([ids_of(text)]))[0]
                close(row, states.mean(0) if place is None else states[place], 1e-4)
    others = {"llama": ("last", PTuningV2()), "t5": ("mean", PTuningV2()), "bert": ("mean", METHODS["capt"])}
    for family, (pooling, method) in others.items():
        prompted, readout = made(task, family, method, readout="head")
        with prompted:
            assert getattr(readout, "pooling", None) == pooling
    assert _head_of(run(tmp_path, "bert", PTuningV2(), max_steps=1).folder)["pooling"] == "first"


def _without_a_place(folder: Path, *files: str) -> None:
    """As an earlier version wrote them, whose head read the mean of the text."""
    for name in files:
        stored = json.loads((folder / name).read_text())
        stored["readout"]["pooling"] = "auto"
        (folder / name).write_text(json.dumps(stored))


def test_an_earlier_run_goes_on_and_answers_as_it_was_begun(tmp_path: Path) -> None:
    method = PTuningV2(num_virtual_tokens=2)
    mean = run(tmp_path / "mean", "bert", method, pooling="mean")
    with pytest.raises(Interrupted):
        run(tmp_path / "then", "bert", method, progress=Interrupting(3), pooling="mean")
    record = json.loads((tmp_path / "then" / "run" / "run.json").read_text())
    record["training_options"]["pooling"] = "auto"
    (tmp_path / "then" / "run" / "run.json").write_text(json.dumps(record))
    _without_a_place(tmp_path / "then" / "run", "run.json")
    done = run(tmp_path / "then", "bert", method, resume=True)
    assert (tmp_path / "then" / PROMPT).read_bytes() == (tmp_path / "mean" / PROMPT).read_bytes()
    assert _head_of(done.folder)["pooling"] == "auto"
    assert run(tmp_path / "then", "bert", method, resume=True).metrics == done.metrics
    stored = load(done.folder / "prompt", model("bert"), tokenizer())
    assert [one.probabilities for one in stored.outcomes(TEXTS)] == [
        pytest.approx(one.probabilities, abs=1e-6) for one in mean.prompt.outcomes(TEXTS)
    ]
    with pytest.raises(SoftPromptError, match=r"training_options.pooling \(auto then, first now\)"):
        run(tmp_path / "then", "bert", method, resume=True, pooling="first")


def test_layers_are_not_compared_where_heads_read_other_places(tmp_path: Path) -> None:
    common: dict[str, Any] = {
        "arms": ("all",), "keep": 1, "max_steps": 1, "progress": False, "output": tmp_path / "layers",
    }  # fmt: skip
    given = (model("bert"), tokenizer(), task(tmp_path / "data"), PTuningV2())
    select_layers(*given, seeds=(1,), **common)
    _without_a_place(tmp_path / "layers" / "all-1", "run.json", "metrics.json")
    with pytest.raises(SoftPromptError, match="all-2 has a head with pooling 'first', and a run beside it"):
        select_layers(*given, seeds=(1, 2), **common)


def _sentence(number: int) -> list[str]:
    return [f"w{10 + (7 * number + 3 * place + place * place) % 80}" for place in range(3 + number % 4)]


# A word whose number is a multiple of three is a name, or the answer is the word behind w9.
TAGGED = [
    {"tokens": words, "tags": ["B-X" if int(word[1:]) % 3 == 0 else "O" for word in words]}
    for words in map(_sentence, range(60))
]
ANSWERED = [
    {"question": "w10", "context": " ".join(["w9", *words][number % 2 :] + ["w9"] * (number % 2) + ["w8"]),
     "answers": ["w8" if number % 2 else words[0]]}
    for number, words in enumerate(map(_sentence, range(40)))
]  # fmt: skip
HARD = {
    "tags": Task(name="names", kind="tags", labels=["O", "B-X"]).with_data(TAGGED),
    "extraction": Task(name="squad", kind="extraction").with_data(ANSWERED),
}


@pytest.mark.parametrize("kind", HARD)
def test_the_papers_hard_tasks_train_and_come_back(kind: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"max_steps": 120, "patience": 99, "learning_rate": 0.03, "progress": False}
    method = PTuningV2(num_virtual_tokens=4)
    done = train(model("bert"), tokenizer(), HARD[kind], method, output=tmp_path / "run", **options)
    history = done.metrics["history"]
    assert history[-1]["train_loss"] < 0.75 * history[1]["train_loss"]
    assert done.metrics["trained_parameters"] - done.metrics["trained_head_parameters"] == 2 * LAYERS * 4 * HIDDEN
    texts = {"tags": ["w12 w13"], "extraction": [{"question": "w10", "context": "w20 w9 w30"}]}[kind]
    assert load(done.folder / "prompt", model("bert"), tokenizer()).predict(texts) == done.prompt.predict(texts)
