"""The sentencepiece model, which llama.cpp's converter to GGUF reads and transformers 5 no longer writes.

Without it the converter takes the vocabulary of `tokenizer.json`, and the order of a Llama's merges is lost: most texts
are read otherwise. With it, added tokens count where `added_tokens_decoder` has them, as transformers 4 wrote it.
"""

from __future__ import annotations

import shutil
from json import loads
from pathlib import Path
from typing import TYPE_CHECKING

from softprompt.files import strict_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_MODEL = "tokenizer.model"
_CONFIG = "tokenizer_config.json"
_TOLD = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")


def carry_sentencepiece(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Lay it beside the tokenizer in a folder, where the tokenizer was read from a folder that has one.

    Args:
        tokenizer: with the tokens that were added.
        folder: into which it was written.
    """
    source = getattr(tokenizer, "vocab_file", None)
    if not source or Path(source).name != _MODEL or not Path(source).is_file():
        return
    shutil.copyfile(source, folder / _MODEL)
    path = folder / _CONFIG
    config = loads(path.read_text(encoding="utf-8"))
    config.pop("vocab_file", None)  # where it lay on this machine
    added = tokenizer.added_tokens_decoder.items()
    config["added_tokens_decoder"] = {str(one): {key: getattr(token, key) for key in _TOLD} for one, token in added}
    path.write_text(strict_json.dumps(config) + "\n", encoding="utf-8")
