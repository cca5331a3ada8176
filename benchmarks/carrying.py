"""The round trip of every method through every form, family by family: equal, or refused with its line.

    python -m benchmarks.carrying [FORM ...]

It writes benchmarks/results/carrying.json and the table of docs/carrying.md.

Tiny random models of the tests, one row without padding. What is asked with the exported prompt is the other program
itself: PEFT, transformers alone, onnxruntime. A cell is the largest difference of a logit (ONNX: of a probability).
"""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from tests.shared import runs
from tests.shared.carried import prompt_of
from tests.shared.models import ENCODER_DECODERS, ids, model, tokenizer
from tests.shared.prompts import FAMILIES as SERVED
from tests.shared.prompts import METHODS

import softprompt as sp
from softprompt.carrying.formats import FORMATS

ROOT = Path(__file__).parent.parent
RESULT, PAGE = ROOT / "benchmarks" / "results" / "carrying.json", ROOT / "docs" / "carrying.md"
FAMILIES = ("bert", "t5", "gpt2", "llama", "qwen3", "gemma3")
# Each graph takes seconds.
OF_ONNX = ("prompt_tuning", "p_tuning_v2", "deep_prompt", "capt", "spt", "idpg", "lora", "prefix_tuning")
BOUND = {"onnx": 1e-4}
ROW, WORDS = ids(6), ids(3, 1)


def cells(form: str) -> list[tuple[str, str]]:
    """The examples and families of a form: of each method the first of the tests' examples."""
    first = {one.name: name for name, one in reversed(METHODS.items())}
    if form == "onnx":
        return [(first[name], "bert") for name in OF_ONNX]
    return [
        (name, family) for name in METHODS if name in first.values() for family in FAMILIES if family in SERVED[name]
    ]


def answered(target: Any, family: str, ids_: Any = ROW, **more: Any) -> torch.Tensor:
    """Logits of a row, the decoder of an encoder-decoder reading three words."""
    given = {"input_ids": ids_, **more}
    if family in ENCODER_DECODERS:
        given["decoder_input_ids"] = WORDS
    with torch.no_grad():
        found: torch.Tensor = target(**given).logits
    return found


def peft(folder: Path, family: str, backbone: Any) -> torch.Tensor:
    """By `peft.PeftModel`; and what comes back is loaded."""
    import copy

    from peft import PeftModel

    sp.load(folder, backbone, tokenizer())
    other = PeftModel.from_pretrained(copy.deepcopy(backbone), folder).eval()
    more = {"attention_mask": torch.ones_like(ROW)}
    if other.active_peft_config.peft_type == "MULTITASK_PROMPT_TUNING":
        more["task_ids"] = torch.zeros(1, dtype=torch.long)
    return answered(other, family, **more)


def vocabulary(folder: Path, family: str, backbone: Any) -> torch.Tensor:
    """By the checkpoint itself, in the class of the backbone."""
    listed = json.loads((folder / "prompts.json").read_text())["mine"]
    other = type(backbone).from_pretrained(folder).eval()
    # "front" or "after_bos", where the chat template has them.
    place = 1 if listed["chat_template"].startswith('{{ "[CLS]') else 0
    row = torch.cat([ROW[:, :place], torch.tensor([listed["ids"]]), ROW[:, place:]], dim=1)
    found = answered(other, family, row)[..., : backbone.config.vocab_size]
    return (
        found
        if family in ENCODER_DECODERS
        else torch.cat([found[:, :place], found[:, place + len(listed["ids"]) :]], 1)
    )


def beside(folder: Path, name: str) -> Any:
    """The loader that was written there."""
    spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def keys_values(folder: Path, family: str, backbone: Any) -> torch.Tensor:
    """By transformers, with the past of the loader."""
    past = beside(folder, "past").past(backbone)
    seen = torch.ones(1, past.get_seq_length() + ROW.shape[1], dtype=torch.long)
    return answered(backbone, family, attention_mask=seen, past_key_values=past)


def prompt_embeds(folder: Path, family: str, backbone: Any) -> torch.Tensor:
    """By transformers, with the rows that the client sends in front of the text's embeddings."""
    from safetensors.torch import load_file

    rows = load_file(folder / "prompt_embeds.safetensors")["prompt"]
    with torch.no_grad():
        whole = torch.cat([rows[None], backbone.get_input_embeddings()(ROW)], dim=1)
        found: torch.Tensor = backbone(inputs_embeds=whole).logits
    return found


READERS = {"peft": peft, "vocabulary": vocabulary, "keys-values": keys_values, "prompt-embeds": prompt_embeds}


def onnx(method: Any, family: str, place: Path) -> float | str:
    """A task's probabilities by onnxruntime, of a prompt that was trained for a few steps."""
    import onnxruntime
    from transformers import AutoTokenizer

    text = "w20 w41 w42"
    prompt = runs.run(place / "run", family, method, max_steps=2).prompt
    folder = sp.export(prompt, place / "onnx", to="onnx")
    row = AutoTokenizer.from_pretrained(folder).apply_chat_template(
        [{"role": "user", "content": text}], return_dict=True, return_tensors="np"
    )
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    (found,) = session.run(None, {name: row[name] for name in ("input_ids", "attention_mask")})
    return float((torch.from_numpy(found[0]) - torch.tensor(prompt.outcomes([text])[0].probabilities)).abs().max())


def measured(form: str, method: Any, family: str) -> float | str:
    """The difference, or the line of the refusal."""
    backbone = model(family, window=64) if family == "gemma3" else model(family)
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if form == "onnx":
                return onnx(method, family, Path(place))
            prompt = prompt_of(backbone, method)
            folder = sp.export({"mine": prompt}, Path(place) / "new", to=form)
        except sp.SoftPromptError as error:
            return str(error).replace(place, "PLACE")
        found = READERS[form](folder, family, backbone)
        with prompt.attach() as prompted:
            expected = answered(prompted, family)
    return float((found[:, -expected.shape[1] :] - expected).abs().max())


def shown(form: str, row: dict[str, Any]) -> str:
    """One entry of the table: where it is equal, and where not."""
    equal = [family for family, cell in row.items() if isinstance(cell, float)]
    if not equal:
        line = row.get("llama", next(iter(row.values())))  # a causal model's is the most telling
        why = line.split(f"carried to {form}: ")[-1].rsplit(": ", 1)[0]
        return f"no: {why.split(' (')[0].rpartition(': ')[2]}"
    worst, others = max(row[family] for family in equal), [family for family in row if family not in equal]
    return (f"{worst:.0e}" if worst else "0") + (f", not {', '.join(others)}" if others else "")


def write(found: dict[str, Any]) -> None:
    """The table of the page, between its marks."""
    names = list(dict.fromkeys(name for rows in found.values() for name in rows))
    lines = [f"| method | {' | '.join(f'`{form}`' for form in found)} |", f"|---{'|---' * len(found)}|"]
    for name in names:
        entries = [shown(form, rows[name]) if name in rows else "" for form, rows in found.items()]
        lines.append(f"| `{METHODS[name].name}` | {' | '.join(entries)} |")
    begun, rest = PAGE.read_text().split("<!-- round trip -->\n")[0], PAGE.read_text().split("<!-- end -->")[1]
    PAGE.write_text(f"{begun}<!-- round trip -->\n\n" + "\n".join(lines) + f"\n\n<!-- end -->{rest}")


def main() -> int:
    """Measure every cell, and write both files; 1 where one is neither equal nor refused."""
    found: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for form in sys.argv[1:] or FORMATS:
        found[form] = {}
        for name, family in cells(form):
            cell = measured(form, METHODS[name], family)
            found[form].setdefault(name, {})[family] = cell
            print(form, name, family, cell, flush=True)
        RESULT.write_text(json.dumps(found, indent=1) + "\n")
    write(found)
    odd = [
        (form, name, family)
        for form, rows in found.items()
        for name, row in rows.items()
        for family, cell in row.items()
        if isinstance(cell, float) and not cell < BOUND.get(form, 2e-5)
    ]
    print("neither equal nor refused:", odd or "none")
    return bool(odd)


if __name__ == "__main__":
    sys.exit(main())
