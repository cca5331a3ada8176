"""The help of a verb: what it does, an example that can be copied, and its options in groups."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from typer.core import TyperCommand

# The groups in their order, each with the parameters that stand in it; all others stand in the last.
GROUPS = {
    "What": "backbone task method preset select init_from teacher keep arms seeds resume template words fields "
    "baseline metric against why structural no_controls",
    "Rows": "data text label column validation_data test_data test_size split shots seed max_test_rows max_rows "
    "skip_bad encoding file field source_data source_task no_effect effects no_model pooled sentence",
    "Training": "set_ over trials minutes max_bytes folds halving learning_rate epochs steps distillation accumulate "
    "max_length saves keep_at",
    "Server": "prompts host port token_file memory log_texts limits replicas",
    "Machine": "dtype device int8 shard batch_size workers on store gpus",
    "Output": "to out private licence form report_to retry dry_run page k json silent clean num_beams "
    "length_penalty layers map_ layer head scores",
    "Other": "",
}
_KINDS = {"path": "PATH", "str": "TEXT", "int": "N", "int range": "N", "float": "NUMBER", "float range": "NUMBER"}
_KIND = re.compile(r"<(?:list\[)?([A-Za-z ]+)\]?>")


class Verb(TyperCommand):
    """A verb whose help a newcomer can read: 100 columns, the example on a line of its own, options in groups."""

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """The paragraphs of the docstring, and its example as it is typed."""
        text, _, example = (self.help or "").partition("Example: ")
        for paragraph in text.strip().split("\n\n"):
            formatter.write_paragraph()
            with formatter.indentation():
                formatter.write_text(" ".join(paragraph.split()))
        if example:
            with formatter.section("Example"):
                formatter.write(f"{'':{formatter.current_indent}}{' '.join(example.split())}\n")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The arguments, and the options of each group."""
        listed: dict[str, list[tuple[str, str]]] = {"Arguments": [], **{name: [] for name in GROUPS}}
        trains = any(parameter.name == "learning_rate" for parameter in self.params)
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                names, about = record
                listed[_group(parameter, trains)].append((_KIND.sub(_kind, names), about))
        for name, records in listed.items():
            if records:
                with formatter.section(name):
                    formatter.write_dl(records, col_max=34)


def _group(parameter: Any, trains: bool) -> str:
    if parameter.param_type_name == "argument":
        return "Arguments"
    if parameter.name == "batch_size" and trains:  # rows a step, and no matter of memory alone
        return "Training"
    return next((group for group, names in _named() if parameter.name in names), "Other")


def _named() -> Iterator[tuple[str, list[str]]]:
    for group, names in GROUPS.items():
        yield group, names.split()


def first_sentence(verb: Any) -> str:
    """What a verb does, for the list of all."""
    return " ".join((verb.help or "").split("\n\n")[0].partition("Example: ")[0].split())


def _kind(found: re.Match[str]) -> str:
    return _KINDS.get(found[1].lower(), found[1].upper())
