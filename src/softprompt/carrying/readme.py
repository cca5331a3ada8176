"""The README beside what was exported: what it is, how its text is made, and the program that uses it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from softprompt.files.places import CARD
from softprompt.storage.card import about
from softprompt.storage.prompt import Prompt, record_of


def write_readme(folder: Path, prompts: Mapping[str, Prompt], library: str, use: Sequence[str]) -> None:
    """Write the file.

    Args:
        folder: that is written.
        prompts: what it holds, by name; of a single one the name is not shown.
        library: that reads it, for the hub's header.
        use: the lines that tell how.
    """
    parts = []
    for name, prompt in prompts.items():
        told = about(record_of(prompt), prompt.method, prompt.task, prompt.readout)
        parts += [*([f"## {name}", ""] if name else []), *told, ""]
    title = f"# {', '.join(one.name for one in prompts.values())} for {library}"
    head = ["---", f"library_name: {library}", "tags: [soft-prompt]", "---", "", title, ""]
    lines = [*head, *parts, "## Use", "", *use, ""]
    (folder / CARD).write_text("\n".join(lines), encoding="utf-8")
