"""The trainable instruction: it starts as its text, and beside a prefix it starts as its text behind that prefix."""

from __future__ import annotations

import pytest
import torch
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM, MambaConfig, PreTrainedTokenizerFast

from softprompt.attached.attach import attach, build
from softprompt.errors import SoftPromptError
from softprompt.methods import HardPrompt, Instruction, PTuningV2
from softprompt.methods.instruction import InstructionWords

from ..shared.models import BOS, CORE, HIDDEN, LAYERS, VOCABULARY, ids, model, padded, tokenizer
from ..shared.prompts import GENERATIVE, attached, call, close, every_family, logits, tiny

EXAMPLES = {
    "instruction": {"method": "instruction", "text": "w20 w30 w40"},
    "instruction_prefix": {"method": "instruction", "text": "w20 w30 w40", "prefix": 2, "init_std": 1.0},
}

TEXT = "w30 w41 w52"
WORDS = torch.tensor([[30, 41, 52]])
AT = {"front": 0, "after_bos": 1, "end": 6}
places = pytest.mark.parametrize("placement", list(AT))


def literally(row: torch.Tensor, at: int) -> torch.Tensor:
    """A row with the words written into it."""
    return torch.cat([row[:, :at], WORDS, row[:, at:]], dim=1)


def at_the_row(out: torch.Tensor, at: int, family: str) -> torch.Tensor:
    """Logits at the row's own tokens of a text that holds the words, too."""
    return out if family in ("t5", "bart") else torch.cat([out[:, :at], out[:, at + 3 :]], dim=1)


@every_family
@places
def test_it_starts_as_its_text(family: str, placement: str) -> None:
    """To the last bit where nothing but the words is in the batch; with padding up to rounding."""
    row, at = ids(6), AT[placement]
    with tiny(family, HardPrompt()) as prompted, torch.no_grad():
        expected = call(prompted, literally(row, at)).logits
        with_words = [literally(one, at if at < 6 else one.shape[1]) for one in (row, ids(4, 2))]
        padded_expected = logits(prompted, *padded(with_words, "left"))
    with attach(model(family), tokenizer(), Instruction(text=TEXT, placement=placement)) as prompted, torch.no_grad():
        assert torch.equal(call(prompted, row).logits, at_the_row(expected, at, family))
        found = logits(prompted, *padded([row, ids(4, 2)], "left"))
    for mine, theirs, one in zip(found, padded_expected, (row, ids(4, 2)), strict=True):
        close(mine, at_the_row(theirs[None], at if at < 6 else one.shape[1], family)[0], 1e-5)


def test_words_alone_need_no_attention() -> None:
    """Mamba has none that keys and values could join, and is asked for none where there is no prefix."""
    backbone = AutoModelForCausalLM.from_config(MambaConfig(vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=2))
    with attach(backbone.eval(), tokenizer(), Instruction(text=TEXT)) as prompted, torch.no_grad():
        row = ids(6)
        close(call(prompted, row).logits, backbone(literally(row, 0)).logits[:, 3:], 1e-5)
    with pytest.raises(SoftPromptError, match="'mamba' cannot serve the site 'attention'"):
        build(backbone, tokenizer(), Instruction(text=TEXT, prefix=2))


@pytest.mark.parametrize("family", GENERATIVE)
def test_it_generates_as_its_text(family: str) -> None:
    options = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False, "num_beams": 2}
    row = ids(6)
    with tiny(family, HardPrompt()) as prompted:
        expected = prompted.generate(literally(row, 1), **options)[0, -6:]
    with attach(model(family), tokenizer(), Instruction(text=TEXT, placement="after_bos")) as prompted:
        assert prompted.generate(row, **options)[0, -6:].tolist() == expected.tolist()


@every_family
@pytest.mark.parametrize("placement", ["front", "after_bos"])
def test_behind_a_prefix_it_starts_as_its_text_behind_that_prefix(family: str, placement: str) -> None:
    """Positions: the prefix's first, then the words', then the text's."""
    rows, at = [ids(6), ids(4, 2)], AT[placement]
    both = Instruction(text=TEXT, placement=placement, prefix=3, init_std=1.0)
    with attach(model(family), tokenizer(), both) as prompted, torch.no_grad():
        flat = prompted.prompts[0].stored()["prefix"]
        alone = call(prompted, rows[0]).logits
        found = logits(prompted, *padded(rows, "left"))
    with attached(model(family), PTuningV2(num_virtual_tokens=3)) as prompted, torch.no_grad():
        prompted.prompts[0].load_stored({"table": flat})
        expected = [at_the_row(call(prompted, literally(row, at)).logits, at, family)[0] for row in rows]
    close(alone[0], expected[0], 1e-6)
    for mine, theirs in zip(found, expected, strict=True):
        close(mine, theirs, 1e-5)


@pytest.mark.parametrize("family", GENERATIVE)
def test_behind_a_prefix_it_generates_as_its_text(family: str) -> None:
    options = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False}
    batch, mask = padded([ids(6), ids(4, 2)], "left")
    with attach(model(family), tokenizer(), Instruction(text=TEXT, prefix=3, init_std=1.0)) as prompted:
        flat = prompted.prompts[0].stored()["prefix"]
        found = prompted.generate(batch, attention_mask=mask, **options)
    with attached(model(family), PTuningV2(num_virtual_tokens=3)) as prompted, torch.no_grad():
        prompted.prompts[0].load_stored({"table": flat})
        for index, row in enumerate((ids(6), ids(4, 2))):
            expected = prompted.generate(literally(row, 0), **options)
            assert found[index, -6:].tolist() == expected[0, -6:].tolist()


def opening() -> PreTrainedTokenizerFast:
    """A tokenizer that opens each text with a special token."""
    made = PreTrainedTokenizerFast(
        tokenizer_object=type(tokenizer()._tokenizer).from_str(tokenizer()._tokenizer.to_str()),
        **{name: getattr(tokenizer(), name) for name in ("pad_token", "cls_token", "bos_token", "eos_token")},
    )
    made._tokenizer.post_processor = TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", BOS)])
    return made


def test_the_words_stand_behind_the_token_that_opens_a_text() -> None:
    assert build(model("llama"), opening(), Instruction(text=TEXT)).placement == "after_bos"
    assert build(model("llama"), tokenizer(), Instruction(text=TEXT)).placement == "front"
    assert build(model("llama"), opening(), Instruction(text=TEXT, placement="end")).placement == "end"


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_the_pull(family: str) -> None:
    """Lambda |Q - E|^2 / k with k = 3, nothing at the start and none without lambda."""
    made = build(model(family), tokenizer(), Instruction(text=TEXT, pull=0.6))
    assert isinstance(made, InstructionWords)
    assert float(made.penalty().detach()) == 0.0
    with torch.no_grad():
        made.table[0, 0] += 2.0
        made.table[2, 5] -= 1.0
    penalty = made.penalty()
    assert float(penalty.detach()) == pytest.approx(0.6 * (4.0 + 1.0) / 3)
    penalty.backward()
    assert int((made.table.grad != 0).sum()) == 2
    assert float(made.table.grad[0, 0]) == pytest.approx(0.6 * 2 * 2.0 / 3)
    assert build(model(family), tokenizer(), Instruction(text=TEXT)).penalty() is None


def test_a_stored_instruction_keeps_its_words() -> None:
    """Drift is told against the text's embeddings, before and after loading."""
    method = Instruction(text=TEXT, pull=1.0, prefix=2)
    made = build(model("llama"), tokenizer(), method)
    with torch.no_grad():
        made.table.add_(0.5)
    again = build(model("llama"), tokenizer(), method, blank=True)
    again.load_stored(made.stored())
    assert sorted(made.stored()) == ["prefix", "table"]
    assert torch.equal(again.start, made.start)
    assert float(again.penalty().detach()) == pytest.approx(0.25 * HIDDEN)
    assert not any("start" in name for name in made.state_dict())


@pytest.mark.parametrize("family", CORE)
def test_scalars(family: str) -> None:
    with attach(model(family), tokenizer(), Instruction(text=TEXT)) as prompted:
        width = prompted.anatomy.embedding_size
        assert sum(p.numel() for p in prompted.parameters() if p.requires_grad) == 3 * width
        flat = 2 * LAYERS * prompted.anatomy.num_key_value_heads * prompted.anatomy.head_dim
    with attach(model(family), tokenizer(), Instruction(text=TEXT, prefix=4)) as prompted:
        assert sum(p.numel() for p in prompted.parameters() if p.requires_grad) == 3 * width + 4 * flat
        assert sum(value.numel() for value in prompted.prompts[0].stored().values()) == 3 * width + 4 * flat


def test_a_text_without_words_is_refused() -> None:
    with pytest.raises(SoftPromptError, match="at least 1 character"):
        Instruction(text="")
