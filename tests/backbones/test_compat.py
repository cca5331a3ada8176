"""What the library leans on inside other libraries: each name is there, and stands in one file alone.

Nothing of the library is imported here, so that a name that a release has dropped fails the test of its own.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "softprompt"
COMPAT = PACKAGE / "backbones" / "compat.py"

NAMES = {
    "transformers.masking_utils": (
        "ALL_MASK_ATTENTION_FUNCTIONS",
        "AttentionMaskInterface",
        "AttentionMaskInterface.register",
    ),
    "transformers.modeling_layers": ("GradientCheckpointingLayer", "GradientCheckpointingLayer.gradient_checkpointing"),
    "transformers.modeling_utils": ("ALL_ATTENTION_FUNCTIONS",),
    "transformers.models.auto.modeling_auto": (
        "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES",
        "MODEL_FOR_MASKED_LM_MAPPING_NAMES",
        "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES",
    ),
    "transformers.models.llama.modeling_llama": ("eager_attention_forward",),
    "transformers.optimization": ("Adafactor._get_options",),
    "transformers.generation.logits_process": (
        "MinLengthLogitsProcessor",
        "MinNewTokensLengthLogitsProcessor",
        "ForcedBOSTokenLogitsProcessor",
        "ForcedEOSTokenLogitsProcessor",
        "ExponentialDecayLengthPenalty",
        "SuppressTokensAtBeginLogitsProcessor",
    ),
    "transformers.generation.stopping_criteria": (
        "MaxLengthCriteria",
        "MaxTimeCriteria",
        "EosTokenCriteria",
        "ConfidenceCriteria",
    ),
    "transformers": (
        "AttentionInterface.register",
        "GenerationMixin._get_logits_processor",
        "GenerationMixin._get_stopping_criteria",
        "PreTrainedConfig._attn_implementation",
        "PreTrainedModel.activation_checkpointing_disable",
        "PreTrainedModel.activation_checkpointing_enable",
        "Trainer._get_grad_norm",
        "Trainer._get_train_sampler",
        "Trainer._load_from_checkpoint",
        "Trainer._load_optimizer_and_scheduler",
        "Trainer._load_rng_state",
        "Trainer._load_scaler",
        "Trainer._prepare_inputs",
        "TrainingArguments._setup_devices",
    ),
    "torch": (
        "_assert_async",
        "ops.mkldnn._linear_pointwise",
        "ops.onednn.qlinear_pointwise",
        "ops.onednn.qlinear_prepack",
    ),
    "torch._C": ("_are_functorch_transforms_active", "_get_tracing_state"),
    "torch.autograd.forward_ad": ("_current_level",),
    "torch.utils._python_dispatch": ("TorchDispatchMode",),
    "torch.nn": ("Module._compiled_call_impl",),
    "gguf": ("GGUFReader._get_field_parts",),
}
# What no class has, only what is made of it.
MADE = {
    "_parameters": lambda: _module(),
    "_modules": lambda: _module(),
    "_buffers": lambda: _module(),
    "_forward_hooks": lambda: _module(),
    "_forward_hooks_with_kwargs": lambda: _module(),
    "_forward_hooks_always_called": lambda: _module(),
    "_attn_implementation_internal": lambda: _config(),
    "_n_gpu": lambda: _arguments(),
}
# A private name of another library outside of compat.py, with the reason.
ELSEWHERE = {
    (
        "backbones/embedded.py",
        "_get_field_parts",
    ): "a reader of files is no part of any model",
    ("tasks/overlap.py", "_compute_score_from_stats"): "sacrebleu's chrF from sums, which it has no public name for",
    ("tasks/overlap.py", "_extract_corpus_statistics"): "the same, of a sentence",
    ("backbones/onednn.py", "_linear_pointwise"): "an operation of torch's, which has no public name",
    ("backbones/onednn.py", "_are_functorch_transforms_active"): "torch's own state, of no model",
    ("backbones/onednn.py", "_get_tracing_state"): "the same, of traces",
    ("backbones/onednn.py", "_current_level"): "the same, of forward differentiation",
    ("backbones/int8.py", "_version"): "a tensor's count of its changes, which torch documents under this name alone",
    ("sites/asking.py", "_reconstructor"): "of Python's own copyreg, by which every pickle of protocol 0 is read",
}


def _module() -> Any:
    from torch import nn

    return nn.Linear(1, 1)


def _config() -> Any:
    from transformers import LlamaConfig

    return LlamaConfig()


def _arguments() -> Any:
    from transformers import TrainingArguments

    made = TrainingArguments(use_cpu=True)
    assert made.device.type == "cpu"  # which is when the devices are counted
    return made


@pytest.mark.parametrize("name", [f"{module}.{name}" for module, names in NAMES.items() for name in names])
def test_the_name_is_there(name: str) -> None:
    module = max((one for one in NAMES if name.startswith(f"{one}.")), key=len)
    found: Any = importlib.import_module(module)
    for part in name.removeprefix(f"{module}.").split("."):
        assert hasattr(found, part), f"{name} has gone: backbones/compat.py leans on it"
        found = getattr(found, part)


@pytest.mark.parametrize("name", MADE)
def test_what_is_made_has_the_name(name: str) -> None:
    assert name in dir(MADE[name]()), f"{name} has gone: backbones/compat.py leans on it"


def test_a_wrapped_model_says_so() -> None:
    import torch

    assert "_orig_mod" in torch.compile(_module(), backend="eager")._modules


def test_a_dispatched_module_says_so() -> None:
    from accelerate.hooks import ModelHook, add_hook_to_module

    assert hasattr(add_hook_to_module(_module(), ModelHook()), "_hf_hook")


def test_a_checkpointing_layer_has_its_function() -> None:
    from transformers import LlamaConfig, LlamaModel

    sizes = {
        "vocab_size": 8,
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
    }
    model = LlamaModel(LlamaConfig(**sizes))
    model.activation_checkpointing_enable()
    layer: Any = model.layers[0]
    assert layer.gradient_checkpointing
    assert "_gradient_checkpointing_func" in layer.__dict__, "_gradient_checkpointing_func has gone"


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("_get_grad_norm", ("model", "grad_norm")),
        ("_get_train_sampler", ("train_dataset",)),
        ("_load_from_checkpoint", ("resume_from_checkpoint", "model")),
        ("_load_optimizer_and_scheduler", ("checkpoint",)),
        ("_load_rng_state", ("checkpoint",)),
        ("_load_scaler", ("checkpoint",)),
        ("_prepare_inputs", ("inputs",)),
    ],
)
def test_a_step_inside_trainer_is_taken_over_as_it_is_called(name: str, given: tuple[str, ...]) -> None:
    from transformers import Trainer

    assert tuple(inspect.signature(getattr(Trainer, name)).parameters)[1:] == given, f"Trainer.{name} takes others"
    assert f"self.{name}" in inspect.getsource(inspect.getmodule(Trainer)), f"Trainer.{name} is never called"


def test_the_cache_has_a_name_that_is_known() -> None:
    from transformers import LlamaModel

    assert {"past_key_values", "cache"} & set(inspect.signature(LlamaModel.forward).parameters)


INSIDE = {
    *(part for names in NAMES.values() for name in names for part in name.split(".") if part.startswith("_")),
    *MADE,
    *("_orig_mod", "_hf_hook", "_gradient_checkpointing_func"),
}


def private(source: str) -> Iterator[str]:
    """Every private name that a source reads of something, imports, or has as a text."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            names = [node.attr]
        elif isinstance(node, ast.ImportFrom):
            names = [*(node.module or "").split("."), *(one.name for one in node.names)]
        else:
            names = [node.value] if isinstance(node, ast.Constant) and node.value in INSIDE else []
        yield from (name for name in names if name.startswith("_") and not name.startswith("__") and name != "_")


def own(source: str) -> Iterator[str]:
    """Every name that a source defines: functions, classes, variables, attributes and slots of an enumeration."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Attribute, ast.Name)) and isinstance(node.ctx, ast.Store):
            yield node.attr if isinstance(node, ast.Attribute) else node.id


def test_no_other_file_names_the_inside_of_a_library() -> None:
    sources = {path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    del sources["backbones/compat.py"]
    ours = {name for source in sources.values() for name in own(source)} - INSIDE
    read = {(place, name) for place, source in sources.items() for name in private(source) if name not in ours}
    defined = {(place, name) for place, source in sources.items() for name in own(source) if name in INSIDE}
    found = read | defined
    assert found == set(ELSEWHERE)


def test_what_compat_imports_is_on_the_list() -> None:
    listed = {(module, name.split(".")[0]) for module, names in NAMES.items() for name in names}
    imported = {
        (node.module, one.name)
        for node in ast.parse(COMPAT.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("transformers", "torch.utils._"))
        for one in node.names
    }
    assert imported
    assert imported <= listed


def test_the_library_names_its_own_attention_once() -> None:
    names = {"softprompt_", "softprompt_sdpa", "softprompt_eager"}
    for path in PACKAGE.rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        assert path == COMPAT or not names & {str(node.value) for node in nodes if isinstance(node, ast.Constant)}, path
