"""The programs that stand in a README: what uses a checkpoint without this library, whole and to be copied."""

from __future__ import annotations

from softprompt.carrying.heads import use_of
from softprompt.readouts.label_words import LabelWords
from softprompt.storage.prompt import Prompt


def program_of(prompt: Prompt, name: str) -> list[str]:
    """The program for a checkpoint of transformers that holds a prompt under a name.

    Label words of one token are compared where the answer is read; any other answer is written.
    """
    auto = use_of(prompt).auto
    fields = () if prompt.task is None else prompt.task.fields
    texts = {"content": "..."} if len(fields) < 2 else dict.fromkeys(fields, "...")
    lines = [
        "```python",
        f"from transformers import {auto}, AutoTokenizer",
        "",
        'folder = "this folder"',
        "tokenizer = AutoTokenizer.from_pretrained(folder)",
        f"model = {auto}.from_pretrained(folder)",
        f"message = { ({'role': 'user', **texts})!r}",
        "row = tokenizer.apply_chat_template(",
        f'    [message], chat_template={name!r}, return_dict=True, return_tensors="pt"',
        ")",
    ]
    readout = prompt.readout
    if prompt.task is not None and isinstance(readout, LabelWords) and not readout.bounds:
        column = "-1" if readout.name == "text" else 'row["input_ids"][0].tolist().index(tokenizer.mask_token_id)'
        labels = dict(zip(prompt.task.labels, readout.words, strict=True))
        lines += [
            f"logits = model(**row).logits[0, {column}]",
            f"labels = {labels!r}",
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
