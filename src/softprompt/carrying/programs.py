"""The programs that stand in a README: what uses an exported prompt without this library, whole and to be copied."""

from __future__ import annotations

from collections.abc import Sequence

from softprompt.carrying.heads import use_of
from softprompt.readouts.label_words import LabelWords
from softprompt.storage.prompt import Prompt


def fields_of(prompt: Prompt) -> dict[str, str]:
    """What a message holds of a text, to be filled in: `content`, or the fields of a task of several."""
    fields = () if prompt.task is None else prompt.task.fields
    return dict.fromkeys(("content",) if len(fields) < 2 else fields, "...")


def program(prompt: Prompt, opening: Sequence[str]) -> list[str]:
    """A program in a block of Markdown.

    Label words of one token are compared where the answer is read; any other answer is written.

    Args:
        prompt: with or without a task.
        opening: lines that make `tokenizer`, `model` and `row`, the keywords of its call.
    """
    auto, readout, lines = use_of(prompt).auto, prompt.readout, ["```python", *opening]
    if prompt.task is not None and isinstance(readout, LabelWords) and not readout.bounds:
        column = "-1" if readout.name == "text" else 'row["input_ids"][0].tolist().index(tokenizer.mask_token_id)'
        lines += [
            f"logits = model(**row).logits[0, {column}]",
            f"labels = {dict(zip(prompt.task.labels, readout.words, strict=True))!r}",
            "print(max(labels, key=lambda label: logits[labels[label]]))",
        ]
    elif auto in ("AutoModelForCausalLM", "AutoModelForSeq2SeqLM"):
        start = 'row["input_ids"].shape[1]' if auto == "AutoModelForCausalLM" else "1"
        lines += [
            "written = model.generate(**row, do_sample=False, max_new_tokens=32)",
            f"print(tokenizer.decode(written[0, {start}:], skip_special_tokens=True))",
        ]
    else:
        lines += ["print(model(**row))"]
    return [*lines, "```"]
