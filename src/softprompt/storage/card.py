"""The model card of a prompt folder."""

from __future__ import annotations

from typing import Any

from softprompt.methods.registry import methods


def model_card(meta: dict[str, Any]) -> str:
    """A README in the hub's form: what the prompt is, what it was measured at and how to use it."""
    method = methods()[meta["method"]]
    backbone = meta["backbone"]
    task = meta.get("task") or {}
    lines = [
        "---",
        "library_name: softprompt",
        f"tags: [soft-prompt, {method.name}]",
        "---",
        "",
        f"# {task.get('name', 'a')} prompt ({method.name})",
        "",
        f"A soft prompt for a frozen `{backbone['family']}` backbone with {backbone['num_parameters']:,} parameters.",
        "",
        f"- Method: {method.title}, <{method.url}>",
        f"- Options: `{meta['options']}`",
    ]
    if task:
        lines.append(
            f"- Template: `{task['template']}`; label words: {', '.join(task.get('labels', {}).values()) or 'none'}"
        )
    metrics = meta.get("metrics") or {}
    if metrics:
        lines.append(f"- Measured with seed {meta.get('seed')}: `{metrics}`")
    lines += [
        "",
        "```python",
        "import softprompt as sp",
        "model, tokenizer = sp.load_backbone(...)  # the backbone named above",
        "prompt = sp.load('this folder', model, tokenizer)",
        "```",
        "",
    ]
    return "\n".join(lines)
