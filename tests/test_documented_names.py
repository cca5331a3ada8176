"""Every name that the pages of before the move gave to users is there; what has moved since says where to."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from typing import Any

import pytest

import softprompt as sp

# By the module that they were said to stand in. Of the package itself: its exports, and the classes of methods that its
# pages use; then what docs/api.md listed, docs/extending.md and README imported, and other pages named in full.
DOCUMENTED = {
    "softprompt": (
        "Anatomy Ensemble Interrupted Method Producer Prompt PromptedModel Recipe Run Setting SoftPromptError Task "
        "TrainingOptions View adapt attach load load_backbone method nearest_words open_run read_anatomy register "
        "register_anatomy save select_layers similarity_of train transfer_metrics "
        "CaPT DeepPrompt HardPrompt HeadOnly Instruction LoRA PTuningV2 PrefixTuning PromptTuning SoftWords SPT WARP"
    ),
    "softprompt.attaching": "attach",
    "softprompt.backbone": "load_backbone",
    "softprompt.errors": "SoftPromptError",
    "softprompt.evaluation.ensemble": "Ensemble",
    "softprompt.evaluation.transfer": "transfer_metrics",
    "softprompt.explain.discretise": "discretise drift",
    "softprompt.explain.nearest": "nearest_words",
    "softprompt.explain.similarity": "similarity_of",
    "softprompt.fingerprint": "Fingerprint difference fingerprint",
    "softprompt.guards": "limits",
    "softprompt.methods.base": "Method Recipe Setting",
    "softprompt.methods.registry": "register",
    "softprompt.prompted": "PromptedModel",
    "softprompt.sites.anatomy": "Anatomy register_anatomy",
    "softprompt.sites.producer": "Producer View",
    "softprompt.storage.prompt": "Prompt load save",
    "softprompt.tasks.seen": "SeenRows",
    "softprompt.tasks.task": "Task",
    "softprompt.training": "divergence",
    "softprompt.training.adapt": "adapt",
    "softprompt.training.controls": "select_layers",
    "softprompt.training.courses": "course",
    "softprompt.training.run": "Run train",
}
NAMES = [f"{module}.{name}" for module, names in DOCUMENTED.items() for name in names.split()]
# In a process of its own, in which nothing has been imported from an old place before; each as a user writes it.
_LOOK = """
import json, warnings
found = {}
for name in __import__("sys").argv[1:]:
    module, _, last = name.rpartition(".")
    names = {}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            exec(f"from {module} import {last}", names)
        except ImportError as error:
            found[name] = {"error": str(error)}
            continue
    one = names[last]
    home = getattr(one, "__module__", module), getattr(one, "__qualname__", last)
    # A package may hand on what stands in a file of its own.
    stayed = last == home[1] and (home[0] == module or home[0].startswith(module + "."))
    kinds = [issubclass(line.category, DeprecationWarning) for line in told]
    found[name] = {"stayed": stayed, "deprecations": kinds, "told": [str(line.message) for line in told]}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found() -> Any:
    given = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "ignore", "-c", _LOOK, *NAMES]
    done = subprocess.run(command, env=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", NAMES)
def test_a_documented_name_is_there_and_says_where_it_went(name: str, found: Any) -> None:
    one = found[name]
    assert "error" not in one, one["error"]
    if one["stayed"]:
        assert not one["told"]
    else:
        assert one["deprecations"]
        assert all(one["deprecations"])
        assert name.rpartition(".")[2] in one["told"][0]
        assert "softprompt" in one["told"][0]


# How they could be called: parameters by place, and after * by name alone.
CALLS = {
    "attach": "model tokenizer prompt * label_words seed dropout",
    "load_backbone": "name * dtype device head",
    "load": "folder model tokenizer",
    "save": "prompt folder",
    "train": "model tokenizer task method * seed output resume progress backbone max_steps",
    "open_run": "folder model tokenizer",
    "adapt": "backbone texts * output seed resume progress dtype device steps",
    "select_layers": "model tokenizer task method * keep arms seeds output progress backbone max_steps",
    "transfer_metrics": "prompt target rows * words fields template batch_size tick",
    "nearest_words": "prompt * k seed",
    "similarity_of": "folders",
    "method": "name * rank",
    "register": "method",
    "register_anatomy": "family read",
    "read_anatomy": "model",
    "Ensemble": "members names",
    "Ensemble.evaluate": "self rows task * batch_size tick",
    "Ensemble.outcomes": "self rows * batch_size tick",
    "Ensemble.predict": "self texts * batch_size",
    "Ensemble.unseen": "self rows",
    "Method.recipe": "self family kind",
    "Prompt.attach": "self",
    "Prompt.outcomes": "self texts * batch_size",
    "Prompt.predict": "self texts * batch_size",
    "Prompt.unseen": "self rows",
    "PromptedModel.add": "self name producer",
    "PromptedModel.detach": "self",
    "PromptedModel.encode": "self texts * padding",
    "PromptedModel.generate": "self inputs * prompts max_new_tokens",
    "PromptedModel.remove": "self name",
    "PromptedModel.states": "self * prompts conditioning_mask positions input_ids",
    "Recipe": "learning_rate source optimizer schedule warmup_ratio weight_decay epochs batch_size head_learning_rate",
    "Run.predict": "self texts * batch_size",
    "Task.catalog": "",
    "Task.label_words": "self seq2seq",
    "Task.load": "name_or_path data shots seed max_test_rows",
    "Task.rows_from": "self path",
    "Task.rows_of": "self values",
    "Task.splits": "self seed * few_shot",
    "Task.template_for": "self readout seq2seq",
    "Task.with_data": "self data shots seed max_test_rows",
    "View": "states slots text",
    "View.mean": "self * with_slots",
}


@pytest.mark.parametrize("name", CALLS)
def test_a_documented_call_is_taken(name: str) -> None:
    """All by place, and all by name."""
    found: Any = sp
    for part in name.split("."):
        found = getattr(found, part)
    placed, _, named = (one.split() for one in CALLS[name].partition("*"))
    signature = inspect.signature(found)
    signature.bind(*placed, **dict.fromkeys(named))
    signature.bind(**dict.fromkeys([*placed, *named]))
