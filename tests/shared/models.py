"""Tiny random models of every family, each made once, and a tokenizer of a hundred words."""

from __future__ import annotations

import functools
import os
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn
from transformers import (
    AlbertConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BartConfig,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    ModernBertConfig,
    MT5Config,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
    RobertaConfig,
    T5Config,
)

VOCABULARY, HIDDEN, LAYERS, HEADS, CLASSES, POSITIONS = 100, 32, 3, 4, 3, 64
PAD, BOS, EOS, MASK, UNK = 0, 1, 2, 3, 4

ENCODERS = ("bert", "roberta", "albert", "distilbert", "electra", "modernbert")
ENCODER_DECODERS = ("t5", "mt5", "bart")
DECODERS = ("gpt2", "llama", "mistral", "qwen2", "qwen3", "gemma3")
FAMILIES = (*ENCODERS, *ENCODER_DECODERS, *DECODERS)
# Those over which the invariants run for every method.
CORE = ("bert", "roberta", "albert", "t5", "bart", "gpt2", "llama", "qwen3", "gemma3")

_TOKENS = {"pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS}
_BERT = {
    "vocab_size": VOCABULARY,
    "hidden_size": HIDDEN,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": 37,
    "max_position_embeddings": POSITIONS,
    **_TOKENS,
}
_LLAMA = {**_BERT, "num_key_value_heads": 2}
_T5 = {
    "vocab_size": VOCABULARY,
    "d_model": HIDDEN,
    "d_kv": 8,
    "d_ff": 37,
    "num_layers": LAYERS,
    "num_decoder_layers": 2,
    "num_heads": HEADS,
    "decoder_start_token_id": PAD,
    **_TOKENS,
}


def _configuration(family: str, dropout: float) -> Any:
    bert = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    configurations: dict[str, Any] = {
        "bert": lambda: BertConfig(**_BERT, **bert),
        "roberta": lambda: RobertaConfig(**_BERT, **bert),
        "albert": lambda: AlbertConfig(**_BERT, **bert, embedding_size=16, classifier_dropout_prob=dropout),
        "distilbert": lambda: DistilBertConfig(
            vocab_size=VOCABULARY,
            dim=HIDDEN,
            n_layers=LAYERS,
            n_heads=HEADS,
            hidden_dim=37,
            max_position_embeddings=POSITIONS,
            dropout=dropout,
            attention_dropout=dropout,
            qa_dropout=dropout,
            seq_classif_dropout=dropout,
            **_TOKENS,
        ),
        "electra": lambda: ElectraConfig(**_BERT, **bert, embedding_size=16, summary_last_dropout=dropout),
        "modernbert": lambda: ModernBertConfig(
            **_BERT, cls_token_id=BOS, sep_token_id=EOS, local_attention=8, global_attn_every_n_layers=2
        ),
        "t5": lambda: T5Config(**_T5, dropout_rate=dropout, classifier_dropout=dropout),
        "mt5": lambda: MT5Config(**_T5, dropout_rate=dropout, classifier_dropout=dropout),
        "bart": lambda: BartConfig(
            vocab_size=VOCABULARY,
            d_model=HIDDEN,
            encoder_layers=LAYERS,
            decoder_layers=2,
            encoder_attention_heads=HEADS,
            decoder_attention_heads=HEADS,
            encoder_ffn_dim=37,
            decoder_ffn_dim=37,
            max_position_embeddings=POSITIONS,
            dropout=dropout,
            attention_dropout=dropout,
            activation_dropout=dropout,
            decoder_start_token_id=EOS,
            forced_eos_token_id=None,
            **_TOKENS,
        ),
        "gpt2": lambda: GPT2Config(
            vocab_size=VOCABULARY,
            n_embd=HIDDEN,
            n_layer=LAYERS,
            n_head=HEADS,
            n_positions=POSITIONS,
            resid_pdrop=dropout,
            embd_pdrop=dropout,
            attn_pdrop=dropout,
            **_TOKENS,
        ),
        "llama": lambda: LlamaConfig(**_LLAMA, attention_dropout=dropout),
        "mistral": lambda: MistralConfig(**_LLAMA, attention_dropout=dropout, sliding_window=8),
        "qwen2": lambda: Qwen2Config(**_LLAMA, attention_dropout=dropout),
        "qwen3": lambda: Qwen3Config(**_LLAMA, attention_dropout=dropout, head_dim=12),
        "gemma3": lambda: Gemma3TextConfig(
            **_LLAMA,
            attention_dropout=dropout,
            head_dim=12,
            sliding_window=8,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        ),
    }
    return configurations[family]()


_HEADS = {
    "sequence": AutoModelForSequenceClassification,
    "token": AutoModelForTokenClassification,
    "question": AutoModelForQuestionAnswering,
    "choice": AutoModelForMultipleChoice,
}


def heads(family: str) -> tuple[str, ...]:
    """The heads that a family has."""
    config = _configuration(family, 0.0)
    return ("lm", *(name for name, auto in _HEADS.items() if type(config) in auto._model_mapping))


def model(family: str, head: str = "lm", **options: Any) -> Any:
    """A tiny model in evaluation mode, made once a session; tests give it back as it was.

    Args:
        family: its name here.
        head: `lm`, `sequence`, `token`, `question` or `choice`.
        **options: `attention` (its implementation), `dropout` (all of them), `dtype`, `seed`, `window` (another sliding
            one), `layers` (fewer).
    """
    made = _model(family, head, **{name: options[name] for name in sorted(options)})
    shared = " ".join([family, head, *(f"{name}={value}" for name, value in sorted(options.items()))])
    if shared not in _LENT:
        _LENT[shared] = made, _state(made), {}
    _LENT[shared][2][os.environ.get("PYTEST_CURRENT_TEST", "").split(" ")[0]] = None
    return made


# By name: the model, how it was lent, and the tests that asked for it.
_LENT: dict[str, tuple[Any, set[str], dict[str, None]]] = {}


def changed() -> list[str]:
    """A line for each shared model that was not given back as it was, since this was asked last.

    Looked at is what costs next to nothing: training modes, what takes a gradient, and a `forward` of a module's own.
    """
    found = []
    for shared, (made, before, borrowers) in _LENT.items():
        if different := sorted(before ^ _state(made)):
            named = f"{', '.join(different[:3])}{', ...' if len(different) > 3 else ''}"
            found.append(f"the shared model {shared} was given back changed ({named}) by one of {', '.join(borrowers)}")
    _LENT.clear()
    return found


def _state(made: Any) -> set[str]:
    """What of a model is not as it is made."""
    modules = list(made.named_modules())
    found = {f"{name} is in training mode" for name, module in modules if module.training}
    found |= {f"{name} has a forward of its own" for name, module in modules if "forward" in vars(module)}
    return found | {f"{name} takes no gradient" for name, one in made.named_parameters() if not one.requires_grad}


def fresh(family: str, **options: Any) -> Any:
    """A tiny model of the test's own: on shared ones transformers leaves its hooks of `output_hidden_states`."""
    return _model.__wrapped__(family, "lm", **options)


@functools.cache
def _model(
    family: str,
    head: str,
    *,
    attention: str = "sdpa",
    dropout: float = 0.0,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    window: int | None = None,
    layers: int | None = None,
) -> Any:
    config = _configuration(family, dropout)
    if head != "lm":
        config.num_labels = CLASSES if head != "question" else 2
    if window is not None:
        config.sliding_window = window
    if layers is not None:
        if hasattr(config, "layer_types"):
            config.layer_types = config.layer_types[:layers]
        config.num_hidden_layers = layers
    if head == "lm":
        auto = AutoModelForMaskedLM if family in ENCODERS else AutoModelForCausalLM
        auto = AutoModelForSeq2SeqLM if family in ENCODER_DECODERS else auto
    else:
        auto = _HEADS[head]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = auto.from_config(config, attn_implementation=attention)
        _spread(made)
    return made.to(dtype).eval()


@torch.no_grad()
def _spread(module: nn.Module) -> None:
    """Weights large enough that a wrong column, mask or position shows in the logits."""
    for name, parameter in module.named_parameters():
        if parameter.ndim > 1:
            parameter.normal_(0.0, 0.25)
        elif "bias" in name:
            parameter.normal_(0.0, 0.1)


@functools.cache
def tokenizer() -> PreTrainedTokenizerFast:
    """A word-level tokenizer: the special tokens, then w5 to w99."""
    special = {"[PAD]": PAD, "[CLS]": BOS, "[SEP]": EOS, "[MASK]": MASK, "[UNK]": UNK}
    words = {f"w{index}": index for index in range(len(special), VOCABULARY)}
    core = Tokenizer(models.WordLevel({**special, **words}, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        bos_token="[CLS]",
        eos_token="[SEP]",
        mask_token="[MASK]",
        unk_token="[UNK]",
    )


def ids(length: int, seed: int = 0) -> Tensor:
    """One row of a begin token and random words, shape `(1, length)`."""
    generator = torch.Generator().manual_seed(1000 + seed)
    words = torch.randint(UNK + 1, VOCABULARY, (1, length - 1), generator=generator)
    return torch.cat([torch.tensor([[BOS]]), words], dim=1)


def padded(rows: list[Tensor], side: str, extra: int = 0) -> tuple[Tensor, Tensor]:
    """Rows of shape `(1, n)` as one padded batch and its mask, each `(len(rows), longest + extra)`."""
    width = max(row.shape[1] for row in rows) + extra

    def fill(row: Tensor, value: int) -> Tensor:
        padding = torch.full((1, width - row.shape[1]), value)
        return torch.cat([padding, row] if side == "left" else [row, padding], dim=1)

    return torch.cat([fill(row, PAD) for row in rows]), torch.cat([fill(torch.ones_like(row), 0) for row in rows])


def modes(*modules: nn.Module) -> list[bool]:
    """Whether each part of some modules is in training mode, in order."""
    return [part.training for module in modules for part in module.modules()]
