"""Tokenizers that need no download, trained on a few lines."""

from __future__ import annotations

from functools import lru_cache

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

CORPUS = [
    "the film is a moving and often funny story about a family that never gives up",
    "it was terrible , dull and far too long ; nobody in the theatre laughed",
    "Does the passage answer the question? Yes or No, it was great.",
    "a charming and often affecting journey through the streets of an old town",
] * 4


@lru_cache(maxsize=1)
def byte_level() -> PreTrainedTokenizerFast:
    """Like GPT-2's: byte-level BPE, no separator."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, show_progress=False)
    inner.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=inner)


@lru_cache(maxsize=1)
def word_piece() -> PreTrainedTokenizerFast:
    """Like BERT's: lower case, with [SEP] and [MASK]."""
    inner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    inner.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]", sep_token="[SEP]", mask_token="[MASK]")


@lru_cache(maxsize=2)
def cleaned_word_piece(*, tidy: bool) -> PreTrainedTokenizerFast:
    """Like BERT's as it is stored: spaces before marks are taken out, where `tidy` once more across tokens."""
    words = [
        "[PAD]",
        "[UNK]",
        "[SEP]",
        "a",
        "do",
        "film",
        "n",
        "'",
        "t",
        "s",
        "ve",
        "m",
        ".",
        ",",
        "!",
        "##s",
        "##ing",
        "é",
    ]
    inner = Tokenizer(models.WordPiece({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="[UNK]", sep_token="[SEP]", pad_token="[PAD]",
        clean_up_tokenization_spaces=tidy,
    )  # fmt: skip


@lru_cache(maxsize=1)
def byte_fallback() -> PreTrainedTokenizerFast:
    """Like Llama's first: words with their space in front, and bytes of what is no piece."""
    pieces = ["<unk>", "</s>", *(f"<0x{one:02X}>" for one in range(256)), "▁", "▁▁", "▁a", "a", "b", "▁film", "s", "é"]
    core = models.BPE({piece: place for place, piece in enumerate(pieces)}, [("▁", "a")], byte_fallback=True,
                      unk_token="<unk>", fuse_unk=True)  # fmt: skip
    inner = Tokenizer(core)
    inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    inner.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", eos_token="</s>")


@lru_cache(maxsize=1)
def unigram() -> PreTrainedTokenizerFast:
    """Like T5's: pieces with their space in front."""
    pieces = ["<unk>", "</s>", "▁", "▁▁", "▁a", "a", "b", "▁film", "s", "é", "🎬"]
    inner = Tokenizer(models.Unigram([(piece, -1.0 - place) for place, piece in enumerate(pieces)], unk_id=0))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", eos_token="</s>")


class CharacterTokenizer:
    """A tokenizer that gives no offsets, as those written in Python."""

    is_fast = False
    sep_token_id = None

    def __call__(self, text: str, add_special_tokens: bool, verbose: bool) -> dict[str, list[int]]:
        assert not add_special_tokens
        return {"input_ids": [ord(character) for character in text]}
