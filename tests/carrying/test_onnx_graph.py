"""An encoder with its prompt as one graph: onnxruntime gives the probabilities that are given here."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from transformers import AutoTokenizer

import softprompt as sp
from softprompt.carrying.onnx_graph import Classifier
from softprompt.methods import Method

from ..shared import runs
from ..shared.carried import prompt_of
from ..shared.models import model, padded, tokenizer

TEXTS = ["w20 w41 w42", "w30 w50 w61 w62 w70", "w90", "w20 w30"]
CASES: dict[str, tuple[str, Method, dict[str, Any]]] = {
    "capt": ("bert", sp.CaPT(init_std=0.3), {"readout": "head", "pooling": "mean"}),
    "capt-mask": ("bert", sp.CaPT(init_std=0.3), {}),
    "prompt_tuning": ("roberta", sp.PromptTuning(num_virtual_tokens=3), {}),
    "p_tuning_v2": ("bert", sp.PTuningV2(num_virtual_tokens=3), {}),
    "deep_prompt": ("electra", sp.DeepPrompt(num_virtual_tokens=2), {"readout": "head", "pooling": "first"}),
    "lora": ("distilbert", sp.LoRA(rank=2), {}),
    "spt": ("bert", sp.SPT(num_virtual_tokens=2), {}),
}


@pytest.mark.parametrize(
    ("family", "options"),
    [("bert", {}), *(("electra", {"readout": "head", "pooling": pooling}) for pooling in ("mean", "first", "last"))],
)
def test_what_is_traced_gives_the_probabilities_of_padded_rows(family: str, options: Any, tmp_path: Path) -> None:
    prompt = runs.run(tmp_path, family, sp.CaPT(init_std=0.3), max_steps=4, learning_rate=0.1, **options).prompt
    task, readout = prompt.asked()
    rows = [torch.tensor([readout.encode(row).texts[0].ids]) for row in task.rows_of(TEXTS)]
    with prompt.attach() as prompted, torch.no_grad():
        found = Classifier(prompted.eval(), readout)(*padded(rows, "right"))
    expected = torch.tensor([one.probabilities for one in prompt.outcomes(TEXTS)])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_onnxruntime_answers_as_the_prompt_does(case: str, tmp_path: Path) -> None:
    family, method, options = CASES[case]
    prompt = runs.run(tmp_path, family, method, max_steps=4, learning_rate=0.1, **options).prompt
    folder = sp.export(prompt, tmp_path / "new", to="onnx")
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    expected = torch.tensor([one.probabilities for one in prompt.outcomes(TEXTS)])
    messages = [[{"role": "user", "content": text}] for text in TEXTS]
    batch = tokenizer.apply_chat_template(messages, return_dict=True, padding=True, return_tensors="np")
    given = {name: batch[name] for name in ("input_ids", "attention_mask")}
    (found,) = session.run(None, given)
    assert found.shape == (4, 2)
    torch.testing.assert_close(torch.from_numpy(found), expected, atol=1e-4, rtol=0)
    program = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
    assert "softprompt" not in program
    with redirect_stdout(io.StringIO()) as out:
        exec(program.replace("this folder", str(folder)).replace("'...'", f"{TEXTS[0]!r}"), {})
    assert out.getvalue().strip() == prompt.predict(TEXTS[:1])[0]


@pytest.mark.parametrize(
    ("family", "options", "told"),
    [
        ("llama", {}, "only classification with an encoder goes into one graph"),
        ("bert", {"template": "{prompt} {text} {mask}"}, "places of its own for the virtual tokens"),
    ],
)
def test_what_is_no_such_graph_is_refused(family: str, options: Any, told: str, tmp_path: Path) -> None:
    method = sp.PromptTuning(num_virtual_tokens=2)
    task = runs.task(tmp_path / "data", **options)
    prompt = sp.train(
        model(family), tokenizer(), task, method, output=tmp_path / "run", max_steps=2, progress=False, evaluations=1
    ).prompt
    with pytest.raises(sp.SoftPromptError) as error:
        sp.export(prompt, tmp_path / "new", to="onnx")
    assert told in str(error.value)
    assert "it can be carried to " in str(error.value)


def test_a_prompt_without_a_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(sp.SoftPromptError, match="there is no task whose answers the graph could give"):
        sp.export(prompt_of(model("bert"), sp.CaPT()), tmp_path / "new", to="onnx")
