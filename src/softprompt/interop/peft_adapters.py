"""PEFT's LORA and IA3, read as our LoRA and IA3: both run on the same layers, so their tensors are the same.

    LORA    base_model.model.PATH.lora_A.weight (r, in) and .lora_B.weight (out, r)
    IA3     base_model.model.PATH.ia3_l (out, 1), or (1, in) where what enters the module is rescaled

PATH is the module's in the model that PEFT wrapped; ours begin at the body.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, JsonValue

from softprompt.attached.attach import build
from softprompt.backbones.backbone import Backbone
from softprompt.backbones.projections import linears
from softprompt.errors import SoftPromptError
from softprompt.files.documents import plain
from softprompt.files.forms import TensorForm, read_forms
from softprompt.files.places import ADAPTER
from softprompt.files.tensors import read_tensors
from softprompt.interop.peft_files import PeftConfig, PeftPrompt, check_head, check_tensors, config_of, weights_of
from softprompt.methods.base import Method
from softprompt.methods.ia3 import IA3
from softprompt.methods.lora import LoRA

ADAPTERS = ("LORA", "IA3")
BASE = "base_model.model."  # what PEFT's names begin with
PARTS = {"LORA": ("lora_A.weight", "lora_B.weight"), "IA3": ("ia3_l",)}  # of each module
# First values that are taken off the backbone's own weights, which PEFT does again as it loads.
_CHANGES_THE_BACKBONE = ("pissa", "olora", "corda", "loftq")


class _LoraConfig(PeftConfig):
    """What is read of a LORA's `adapter_config.json`."""

    r: int = Field(ge=1)
    lora_alpha: float = Field(gt=0)
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    use_rslora: bool = False
    use_dora: bool = False
    rank_pattern: dict[str, JsonValue] = Field(default_factory=dict)
    alpha_pattern: dict[str, JsonValue] = Field(default_factory=dict)
    init_lora_weights: JsonValue = True
    alora_invocation_tokens: JsonValue = None
    layer_replication: JsonValue = None

    @property
    def otherwise(self) -> str | None:
        """The option that makes something else of it than our LoRA does; None for none."""
        begun = str(self.init_lora_weights).lower()
        odd = {
            "use_dora": self.use_dora,
            "rank_pattern": bool(self.rank_pattern),
            "alpha_pattern": bool(self.alpha_pattern),
            "init_lora_weights": begun.startswith(_CHANGES_THE_BACKBONE),
            "alora_invocation_tokens": bool(self.alora_invocation_tokens),
            "layer_replication": bool(self.layer_replication),
        }
        return next((name for name, used in odd.items() if used), None)


def paths_in_model(backbone: Backbone) -> dict[str, str]:
    """The path in the model of every linear module inside the layers, by its path in the body."""
    names = {id(module): path for path, module in backbone.model.named_modules()}
    return {own: names[id(module)] for own, module in linears(backbone.anatomy, lambda _: True).items()}


def read_adapter(folder: Path, values: Mapping[str, object], backbone: Backbone) -> PeftPrompt:
    """Read a LORA or an IA3.

    Args:
        folder: of the checkpoint.
        values: its configuration.
        backbone: the model that it was trained on.

    Raises:
        SoftPromptError: see `read_peft`.
    """
    where, path = folder / ADAPTER, weights_of(folder)
    config = config_of(_LoraConfig if values["peft_type"] == "LORA" else PeftConfig, where, values)
    if isinstance(config, _LoraConfig) and config.otherwise is not None:
        raise SoftPromptError(
            f"{where}: {config.otherwise}: makes something of a LORA that no method here does: merge it into the model "
            "with PEFT (merge_and_unload), and load that as the backbone"
        )
    forms, own = read_forms(path), {theirs: ours for ours, theirs in paths_in_model(backbone).items()}
    parts = PARTS[config.peft_type]
    ends = tuple(f".{part}" for part in parts)
    adapted = dict.fromkeys(
        name[len(BASE) :].rsplit(".", part.count(".") + 1)[0] for name, part in _named(forms, parts)
    )
    foreign = next((one for one in adapted if one not in own), None)
    if not adapted or foreign is not None:
        told = "adapts nothing" if foreign is None else f"adapts {plain(foreign)}, which is no linear module of a layer"
        raise SoftPromptError(f"{path}: {told} of this backbone: load the model that it was trained on")
    expected = {f"{BASE}{one}{end}": (None, None) for one in adapted for end in ends}
    check_tensors(path, config.peft_type, expected, forms, BASE)
    tensors = read_tensors(path)
    check_head(path, {name: one for name, one in tensors.items() if name not in expected}, BASE, backbone.model)
    method = _method(config, {own[one]: forms[f"{BASE}{one}{ends[0]}"] for one in adapted}, backbone)
    producer = build(backbone, method, blank=True)
    found = {f"{own[one]}{end}": tensors[f"{BASE}{one}{end}"].float() for one in adapted for end in ends}
    for name, blank in producer.stored().items():
        if name not in found or found[name].shape != blank.shape:
            raise SoftPromptError(f"{path}: a {config.peft_type} for another backbone ({name}): load the one it is for")
    producer.load_stored(found)
    return PeftPrompt(method, producer.to(backbone.device), {"peft": config.told})


def _named(forms: Mapping[str, TensorForm], parts: tuple[str, ...]) -> list[tuple[str, str]]:
    """The tensors of adapted modules, each with its part."""
    return [(name, part) for name in forms for part in parts if name.startswith(BASE) and name.endswith(f".{part}")]


def _method(config: PeftConfig, adapted: Mapping[str, TensorForm], backbone: Backbone) -> Method:
    """The method with the modules of a checkpoint, given the form of each one's first tensor."""
    names = _short(set(adapted), backbone)
    if isinstance(config, _LoraConfig):
        # rsLoRA scales by alpha over the root of r (Kalajdzievski, arXiv 2312.03732).
        alpha = config.lora_alpha * (config.r**0.5 if config.use_rslora else 1.0)
        return LoRA(rank=config.r, alpha=alpha, dropout=config.lora_dropout, target_modules=names)
    fed = _short({path for path, form in adapted.items() if form.shape[0] == 1}, backbone)
    return IA3(target_modules=names, feedforward_modules=fed)


def _short(paths: set[str], backbone: Backbone) -> tuple[str, ...]:
    """Names that mean these modules and no others: the last parts of their paths where these do, else the paths."""
    leaves = {path.rsplit(".", 1)[-1] for path in paths}
    meant = set(linears(backbone.anatomy, lambda path: path.rsplit(".", 1)[-1] in leaves))
    return tuple(sorted(leaves if meant == paths else paths))
