"""`Backbone`: the pair that it is, what it tells, and that every public call takes it or `model, tokenizer`."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import softprompt as sp
from softprompt.backbones import anatomy
from softprompt.backbones.backbone import SITES
from softprompt.backbones.fingerprint import fingerprint
from softprompt.errors import SoftPromptError
from softprompt.methods import PromptTuning

from ..shared.models import FAMILIES, ids, model, tokenizer
from ..shared.runs import task

QUICK: dict[str, Any] = {"max_steps": 2, "evaluations": 1, "batch_size": 4, "progress": False}


def test_it_is_the_pair_that_it_holds() -> None:
    backbone = sp.Backbone(model("llama"), tokenizer(), "mine")
    own, its_tokenizer = backbone
    assert own is backbone.model is backbone[0] is model("llama")
    assert its_tokenizer is backbone.tokenizer is backbone[1] is tokenizer()
    assert len(backbone) == 2
    assert (backbone.name, repr(backbone)) == ("mine", "Backbone('mine')")
    assert backbone.named(None) is backbone
    assert (backbone.named("other").name, backbone.named("other").model) == ("other", own)
    assert isinstance(copy.deepcopy(backbone), sp.Backbone)
    assert pickle.loads(pickle.dumps(sp.Backbone(torch.nn.Linear(1, 1), None, "small"))).name == "small"


def test_a_processor_brings_its_tokenizer() -> None:
    """As models of images and sounds have one."""

    class Processor:
        tokenizer = tokenizer()

        def __call__(self, text: str) -> None:
            raise AssertionError("nobody asks it")

    with sp.attach(model("llama"), Processor(), PromptTuning(num_virtual_tokens=2)) as prompted:  # type: ignore[call-overload]
        assert prompted.tokenizer is tokenizer()


def test_its_name_is_the_models_own_where_none_is_given() -> None:
    own = copy.deepcopy(model("bert"))
    assert sp.Backbone(own, None).name == "bert"
    own.config.name_or_path = "there/model"
    assert sp.Backbone(own, None).name == "there/model"


@pytest.mark.parametrize("family", FAMILIES)
def test_what_it_tells(family: str) -> None:
    backbone = sp.Backbone(model(family), tokenizer())
    assert backbone.anatomy == sp.read_anatomy(model(family)) == sp.read_anatomy(backbone)
    assert backbone.fingerprint == fingerprint(model(family)) == fingerprint(backbone)
    assert (backbone.family, backbone.kind) == (backbone.anatomy.family, backbone.anatomy.kind)
    assert backbone.is_encoder_decoder is (backbone.kind == "encoder-decoder")
    assert (backbone.device.type, backbone.dtype, backbone.has_lm_head) == ("cpu", torch.float32, True)
    assert family in ("t5", "mt5") or not sp.Backbone(model(family).base_model, None).has_lm_head
    assert backbone.sites == SITES


def test_why_it_cannot_serve_a_site() -> None:
    from transformers import AutoModelForCausalLM, OpenAIGPTConfig

    config = OpenAIGPTConfig(vocab_size=100, n_embd=32, n_layer=2, n_head=4)
    backbone = sp.Backbone(AutoModelForCausalLM.from_config(config), tokenizer())
    assert backbone.sites == ("stream", "hidden")
    assert "family 'openai-gpt' cannot serve the site 'attention'" in str(backbone.refusal("attention"))


# -- what is remembered, and how long ---------------------------------------------------------------------------------


@pytest.fixture
def structures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every reading of a model's structure."""
    done: list[Any] = []
    read = anatomy._read

    def counted(own: Any) -> Any:
        done.append(type(own))
        return read(own)

    monkeypatch.setattr(anatomy, "_read", counted)
    return done


def _layer(own: Any) -> None:
    own.model.layers[1] = copy.deepcopy(own.model.layers[1])


def _swapped(own: Any) -> None:
    layers = own.model.layers
    layers[0], layers[1] = layers[1], layers[0]


def _shared(own: Any) -> None:
    own.model.layers[2] = own.model.layers[0]


def _fewer(own: Any) -> None:
    del own.model.layers[2]


CHANGES: dict[str, Callable[[Any], object]] = {
    "vocabulary": lambda own: own.resize_token_embeddings(120, mean_resizing=False),
    "a layer": _layer,
    "their order": _swapped,
    "a layer twice": _shared,
    "fewer": _fewer,
    "attentions that see all": lambda own: own.config.update({"is_causal": False}),
    "sizes": lambda own: own.config.update({"max_position_embeddings": 32}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_structure_is_read_once_until_it_is_another(change: str, structures: list[Any]) -> None:
    own = copy.deepcopy(model("llama"))
    backbone = sp.Backbone(own, tokenizer())
    first = backbone.anatomy
    assert sp.Backbone(own, tokenizer()).anatomy == first
    with sp.attach(backbone, PromptTuning(num_virtual_tokens=2)) as prompted, torch.no_grad():
        prompted(input_ids=ids(5))
        own.train()
        assert sp.read_anatomy(own) == first
    assert len(structures) == 1
    CHANGES[change](own)
    assert backbone.anatomy != first or change == "attentions that see all"
    assert backbone.anatomy.layers == tuple(own.model.layers)
    assert len(structures) == 2


def test_a_reader_that_is_registered_anew_reads_anew() -> None:
    own, read = copy.deepcopy(model("gpt2")), anatomy._read
    try:
        for positions in (11, 12):
            sp.register_anatomy("gpt2", lambda given, count=positions: _with(read(given), max_positions=count))
            assert [sp.read_anatomy(own).max_positions for _ in range(2)] == [positions] * 2
    finally:
        anatomy._READERS.known.pop("gpt2", None)
    assert sp.read_anatomy(own).max_positions == 64


def _with(found: sp.Anatomy, **values: Any) -> sp.Anatomy:
    import dataclasses

    return dataclasses.replace(found, **values)


@pytest.mark.parametrize("head", [True, False])
def test_what_is_remembered_keeps_no_model_alive(head: bool) -> None:
    own = copy.deepcopy(model("bert") if head else model("bert").base_model)
    gone = weakref.ref(own)
    backbone = sp.Backbone(own, None)
    assert backbone.anatomy.body
    assert backbone.fingerprint.weights
    del own, backbone
    gc.collect()
    assert gone() is None


# -- every call takes it, or a model and its tokenizer ----------------------------------------------------------------


def test_a_run_with_it_is_the_run_with_the_pair(tmp_path: Path) -> None:
    own, rows = model("bert"), task(tmp_path / "data")
    backbone = sp.Backbone(own, tokenizer(), "words")
    first = sp.train(backbone, rows, "prompt_tuning", output=tmp_path / "a", **QUICK)
    again = sp.train(own, tokenizer(), rows, "prompt_tuning", output=tmp_path / "b", backbone="words", **QUICK)
    by_name: dict[str, Any] = {"model": own, "tokenizer": tokenizer(), "task": rows, "method": "prompt_tuning"}
    named = sp.train(**by_name, output=tmp_path / "c", **QUICK)
    files = [(tmp_path / run / "prompt" / "prompt.safetensors").read_bytes() for run in "abc"]
    assert files[0] == files[1] == files[2]
    assert [one.metrics["backbone"] for one in (first, again, named)] == ["words", "words", "bert"]
    resumed = sp.train(backbone, rows, "prompt_tuning", output=tmp_path / "b", resume=True, **QUICK)
    assert resumed.metrics == again.metrics
    texts = ["w20 w41", "w30 w61"]
    for opened in (
        sp.open_run(tmp_path / "a", backbone).prompt,
        sp.open_run(tmp_path / "a", own, tokenizer()).prompt,
        sp.load(tmp_path / "a" / "prompt", backbone),
        sp.load(tmp_path / "a" / "prompt", own, tokenizer=tokenizer()),
        sp.load(tmp_path / "a" / "prompt", model=own, tokenizer=tokenizer()),
    ):
        assert opened.predict(texts) == first.predict(texts)
        assert (opened.backbone.model, opened.backbone.tokenizer) == (own, tokenizer())
    for prompted in (sp.attach(backbone, first.prompt), sp.attach(own, tokenizer(), first.prompt)):
        with prompted:
            assert prompted.backbone is own


CALLS: dict[str, Callable[..., object]] = {
    "attach": lambda *given, **named: sp.attach(*given, PromptTuning(), **named),
    "train": lambda *given, **named: sp.train(*given, None, "prompt_tuning", **named),
    "select_layers": lambda *given, **named: sp.select_layers(*given, None, **named),
    "load": lambda *given, **named: sp.load("nowhere", *given, **named),
    "open_run": lambda *given, **named: sp.open_run("nowhere", *given, **named),
}
FAULTS: dict[str, tuple[Callable[[], tuple[Any, ...]], str]] = {
    "a tuple": (lambda: ((model("bert"), tokenizer()),), "a tuple stands where the model belongs"),
    "a name": (lambda: ("embedded:minilm", tokenizer()), r"'embedded:minilm' is a name: load_backbone\("),
    "no model": (lambda: (3, tokenizer()), "int stands where the model belongs"),
    "the other way round": (lambda: (tokenizer(), model("bert")), "Tokenizer.* stands where the model belongs"),
    "two models": (lambda: (model("bert"), model("bert")), "BertForMaskedLM stands where the tokenizer belongs"),
    "a name for a tokenizer": (lambda: (model("bert"), "words"), "str stands where the tokenizer belongs"),
    "a Backbone and more": (
        lambda: (sp.Backbone(model("bert"), tokenizer()), tokenizer()),
        "the Backbone brings its tokenizer: leave `tokenizer` out",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("call", CALLS)
def test_what_is_neither_is_one_line(call: str, fault: str) -> None:
    given, line = FAULTS[fault]
    with pytest.raises(SoftPromptError, match=f"^{call}: .*{line}") as told:
        CALLS[call](*given())
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: sp.attach(model("bert"), PromptTuning()), "attach: PromptTuning stands where the tokenizer belongs"),
        (lambda: sp.attach(model("bert")), "attach: the tokenizer is missing"),
        (lambda: sp.train(model("bert"), task="x", method="capt"), "train: the tokenizer is missing"),
        (lambda: sp.train(task="x", method="capt"), "train: there is no model"),
        (lambda: sp.load("nowhere", model("bert")), "load: the tokenizer is missing"),
        (lambda: sp.open_run("nowhere", model("bert")), "open_run: the tokenizer is missing"),
        (lambda: sp.load("nowhere", sp.Backbone(model("bert"), None), None), "load: the Backbone brings its tokenizer"),
        (lambda: sp.Backbone("bert", tokenizer()), "Backbone: 'bert' is a name"),
        (lambda: sp.adapt(sp.Backbone(model("t5"), tokenizer()), ["w5"], output="x"), "adapt: .*give its name"),
    ],
)
def test_a_part_that_is_missing_is_one_line(call: Callable[[], object], line: str) -> None:
    with pytest.raises(SoftPromptError, match=f"^{line}"):
        call()
