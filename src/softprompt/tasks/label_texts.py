"""Label values of a definition, written as those of a table are compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from softprompt.tasks.patterns import LABEL_KEYS
from softprompt.tasks.values import find_label, label_text


def write_labels_as_text(values: dict[str, object]) -> None:
    """Write label values as those of a table are compared; what names one of them elsewhere is written as there.

    Raises:
        ValueError: two of the labels are one.
    """
    labels = _by_text(values.get("labels"), "labels", label_text)
    known = dict.fromkeys(map(str, labels)) if isinstance(labels, Mapping) else {}

    def named(value: object) -> str:
        return find_label(value, known) or label_text(value)

    aliases, skipped = values.get("label_aliases"), values.get("skip_labels")
    written = {
        "labels": labels,
        "seq2seq_labels": _by_text(values.get("seq2seq_labels"), "seq2seq_labels", named),
        "label_aliases": {label_text(k): named(v) for k, v in aliases.items()}
        if isinstance(aliases, Mapping)
        else None,
        "skip_labels": tuple(map(label_text, skipped)) if isinstance(skipped, (list, tuple)) else None,
        "positive": None if values.get("positive") is None else named(values["positive"]),
    }
    values |= {key: value for key, value in written.items() if value is not None}
    patterns = values.get("patterns")
    if isinstance(patterns, Mapping):
        values["patterns"] = {name: _words_as_text(one, f"patterns.{name}", named) for name, one in patterns.items()}


def _words_as_text(pattern: object, where: str, text: Callable[[object], str]) -> object:
    """A pattern whose label values are those of its task; what is none is the schema's to tell."""
    if not isinstance(pattern, Mapping):
        return pattern
    words = {key: _by_text(pattern[key], f"{where}.{key}", text) for key in pattern if key in LABEL_KEYS}
    return {**pattern, **words}


def _by_text(labels: object, key: str, text: Callable[[object], str]) -> object:
    """Words by label value; a list holds the values, which are their own words. What is neither stays."""
    if isinstance(labels, Sequence) and not isinstance(labels, str):
        pairs = [(text(value), label_text(value)) for value in labels]
    elif isinstance(labels, Mapping):
        pairs = [(text(value), word) for value, word in labels.items()]
    else:
        return labels
    counts = Counter(value for value, _ in pairs)
    twice = next((value for value, count in counts.items() if count > 1), None)
    if twice is not None:
        raise ValueError(f"{key}: {twice!r} stands twice; keep one")
    return dict(pairs)
