"""Tables of options and training defaults, read from the methods themselves so that the pages cannot go stale.

A line `::options capt` becomes the table of that method's options (`::options training` that of training), and
`::recipes capt` that of its training defaults; `::papers` becomes the table of all methods and their sources, and
`::metrics` that of the fields of `metrics.json`, whose published schema lies beside its page.
`{measured methods sst2 gemma3-270m capt}` is the figure of that benchmark's row. The pages of `methods/` enter the
navigation by themselves, each under its own first heading. Linked files of the source become pages of their own, so
that links to lines work without a network.
"""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path
from typing import Any, get_args

from mkdocs.structure.files import File

from softprompt.methods import methods
from softprompt.training.options import TrainingOptions
from softprompt.training.schema import PUBLISHED

SOURCE = re.compile(r"\(\.\./src/softprompt/(?P<file>[\w/]+)\.py#L(?P<line>\d+)\)")

MEASURED = re.compile(r"\{measured (?P<file>\w+) (?P<task>\S+) (?P<backbone>\S+) (?P<arm>[^}]+)\}")
RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"


def on_config(config: Any) -> Any:
    """List the methods' pages; mkdocs calls it once."""
    folder = Path(config["docs_dir"]) / "methods"
    pages = {path.read_text(encoding="utf-8").splitlines()[0].lstrip("# "): path for path in folder.glob("*.md")}
    entries = [
        {title: f"methods/{path.name}"} for title, path in sorted(pages.items(), key=lambda pair: pair[0].lower())
    ]
    config["nav"] = [{"Methods": entries} if entry == "methods" else entry for entry in config["nav"]]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Make a page of each file of the source that a page links to, and copy the schema; mkdocs calls it once."""
    root = Path(config["docs_dir"]).parent / "src" / "softprompt"
    pages = [Path(page.abs_src_path).read_text(encoding="utf-8") for page in files.documentation_pages()]
    for name in sorted({found["file"] for page in pages for found in SOURCE.finditer(page)}):
        code = (root / f"{name}.py").read_text(encoding="utf-8")
        head = f"---\nsearch: {{exclude: true}}\n---\n# {name}.py\n"
        content = f'{head}\n``````{{.python linenums="1"}}\n{code}``````\n'
        files.append(File.generated(config, f"source/{name}.md", content=content))
    files.append(File.generated(config, PUBLISHED.name, content=PUBLISHED.read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill the tables in; mkdocs calls it for every page."""
    markdown = re.sub(r"^::papers$", lambda _: _papers(), markdown, flags=re.M)
    markdown = re.sub(r"^::metrics$", lambda _: _metrics(), markdown, flags=re.M)
    markdown = MEASURED.sub(_measured, markdown)
    markdown = SOURCE.sub(r"(source/\g<file>.md#__codelineno-0-\g<line>)", markdown)
    markdown = re.sub(r"^::options (\w+)$", lambda found: _options(found[1]), markdown, flags=re.M)
    return re.sub(r"^::recipes (\w+)$", lambda found: _recipes(found[1]), markdown, flags=re.M)


def _options(name: str) -> str:
    rows = []
    options = TrainingOptions if name == "training" else methods()[name]
    for option, field in options.model_fields.items():
        choices = [value for value in get_args(field.annotation) if isinstance(value, str)]
        meaning = f"{field.description}" + (f"; one of {', '.join(f'`{c}`' for c in choices)}" if choices else "")
        rows.append(f"| `{option}` | `{field.default!r}` | {meaning} |")
    return "\n".join(["| option | default | meaning |", "|---|---|---|", *rows])


def _recipes(name: str) -> str:
    rows = [
        f"| {backbone} | {recipe.learning_rate:g} | {recipe.optimizer} | {recipe.schedule} | {recipe.warmup_ratio:g} "
        f"| {recipe.weight_decay:g} | {recipe.epochs} | {recipe.batch_size} | {recipe.source} "
        f"| {', '.join(recipe.measured_on or ())} |"
        for backbone, recipe in methods()[name].recipes.items()
    ]
    head = "| backbone | learning rate | optimizer | schedule | warm-up | weight decay | epochs | batch | from "
    head += "| rate measured on |"
    return "\n".join([head, "|---" * 10 + "|", *rows])


def _papers() -> str:
    rows = [f"| `{name}` | [{m.title}]({m.url}) | {m.evidence} |" for name, m in methods(installed=False).items()]
    return "\n".join(["| name | paper | how far it is known |", "|---|---|---|", *rows])


def _metrics() -> str:
    schema = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    rows = ["| field | type | what it is |", "|---|---|---|"]
    for field, told in schema["properties"].items():
        absent = "" if field in schema["required"] else "; absent where there is none"
        rows.append(f"| `{field}` | {_type(told)} | {told['description'].rstrip('.')}{absent} |")
    return "\n".join(rows)


def _type(told: dict[str, Any]) -> str:
    if "const" in told:
        return f"`{told['const']}`"
    if "$ref" in told:
        return "object"
    return " or ".join(map(_type, told["anyOf"])) if "anyOf" in told else str(told["type"])


def _measured(figure: re.Match[str]) -> str:
    """Mean and standard deviation over seeds; a figure that nobody measured stops the build."""
    content = json.loads((RESULTS / f"{figure['file']}.json").read_text(encoding="utf-8"))
    wanted = figure["task"], f"embedded:{figure['backbone']}", figure["arm"]
    found = [value for row in _values(content) for value in row[1] if row[0] == wanted]
    if not found:
        raise ValueError(f"benchmarks/results/{figure['file']}.json has no row for {' '.join(wanted)}")
    return f"{statistics.mean(found):.3f}" + (f" ± {statistics.stdev(found):.3f}" if len(found) > 1 else "")


def _values(content: Any) -> list[tuple[tuple[str, str, str], list[float]]]:
    """Task, backbone and arm with test figures: of a benchmark's list of runs, or of `softprompt results` in JSON."""
    if isinstance(content, dict):
        rows = content["results"]
        return [((r["task"], r["backbone"], r["method"]), [run["value"] for run in r["runs"]]) for r in rows]
    return [((r["task"], r["backbone"], r.get("arm", r["method"])), [r["test"][r["metric"]]]) for r in content]
