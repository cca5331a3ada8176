"""Whether label words that nobody chose can be read off a language model, or a linear head should answer.

A class's name is a good word where it is one: the model has seen it. A code has no meaning to it, a long list of words
of several tokens costs a sequence each, and of words that begin alike the first token does not tell the class.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from softprompt.errors import SoftPromptError, quoted
from softprompt.tasks import Task
from softprompt.tasks.text.encoding import continuation

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_MOST_SEQUENCES = 20  # label words of several tokens, each a sequence of its own a row
_WORD = re.compile(r"[^\W\d_]{2,}")
_DIGIT = re.compile(r"\d")


def why_no_words(task: Task, tokenizer: PreTrainedTokenizerBase, *, mask: bool, seq2seq: bool = False) -> str | None:
    """Why a task's label words should not be read off a language model; None where they can be.

    Args:
        task: of classes, or of numbers.
        tokenizer: the backbone's.
        mask: they are read at masks, of which a word takes as many as it has tokens.
        seq2seq: whether the backbone is an encoder-decoder.
    """
    if task.kind not in ("classification", "regression"):
        return None
    words = task.label_words(seq2seq)
    if not words:
        return "a number has no label words"
    code = next((word for word in words if not _WORD.search(word) or len(_DIGIT.findall(word)) > 2), None)
    if code is not None:
        return f"labels such as {quoted(code, 40)} are no words"
    space = task.template_for("mask" if mask else "text", seq2seq).space_before_answer
    try:
        ids = [continuation(tokenizer, word, space=space) for word in words]
    except SoftPromptError as error:  # a word that the tokenizer does not know
        return str(error)
    return _of_ids(words, ids, mask=mask)


def _of_ids(words: Sequence[str], ids: Sequence[tuple[int, ...]], *, mask: bool) -> str | None:
    several = [word for word, tokens in zip(words, ids, strict=True) if len(tokens) > 1]
    if mask and several:
        return f"label word {quoted(several[0], 40)} is several tokens, each of which would take a mask"
    if several and len(words) > _MOST_SEQUENCES:
        return f"{len(words)} label words of several tokens would be {len(words)} sequences a row"
    first, count = Counter(tokens[0] for tokens in ids).most_common(1)[0]
    if count > 1:
        one, other = [word for word, tokens in zip(words, ids, strict=True) if tokens[0] == first][:2]
        return f"label words {quoted(one, 40)} and {quoted(other, 40)} begin with the same token"
    return None
