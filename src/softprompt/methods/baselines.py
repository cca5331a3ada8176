"""What soft prompts are compared with: a hard prompt, a head alone, and full fine-tuning.

- `hard_prompt`: the task's template and label words, nothing trained; templates may be compared, scores calibrated.
- `head_only`: a linear head on the frozen model's states (CaPT's "Linear Head" trains C * d scalars on Llama and Qwen;
  WARP calls it linear probing). The states do not depend on it: they are computed once and kept.
- `full_finetuning`: every weight of the backbone is trained, on a copy that answers for it in calls of the attached
  model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from softprompt.backbones.anatomy import BackboneKind
from softprompt.backbones.compat import fetching, parameters_of
from softprompt.backbones.heads import ReadoutName
from softprompt.backbones.packed import is_packed
from softprompt.errors import SoftPromptError
from softprompt.methods.base import BuildContext, Method, Recipe
from softprompt.methods.parts.lists import split_at
from softprompt.methods.registry import register
from softprompt.sites.producer import Producer, StandIn


@register
class HardPrompt(Method):
    r"""The template as it is, nothing trained.

    With `templates`, hand-written ones are compared on the validation rows. With `calibration`, a constant for each
    class is added to its log-probability, b_c:

        contextual   b_c = -log p(c | content-free input)    p averaged over "N/A", "" and "[MASK]" in every field
        median       b_c = -median_x s_c(x)                  s = log p less its mean over the classes, x training rows

    Contextual is Zhao et al., "Calibrate Before Use", ICML 2021, <https://arxiv.org/abs/2102.09690>. The median is our
    choice: with two classes it puts the threshold at the median score, so half of the rows fall on each side; labels
    are not looked at, classes of about equal size are assumed.
    """

    name: ClassVar[str] = "hard_prompt"
    title: ClassVar[str] = "Language Models are Few-Shot Learners (zero-shot use of a template)"
    url: ClassVar[str] = "https://arxiv.org/abs/2005.14165"
    site: ClassVar[str] = "none"
    evidence: ClassVar[str] = "the idea alone; templates come with the tasks; contextual calibration from its paper"
    course: ClassVar[str] = "hard_prompt"
    recipes: ClassVar[dict[str, Recipe]] = {"default": Recipe(0.0, "nothing is trained", epochs=0)}

    templates: Annotated[tuple[str, ...], split_at(";;")] = Field(
        (),
        description="templates, or names of the task's patterns, to compare with its own template on the validation "
        "rows; ;; stands between them",
    )
    calibration: Literal["none", "contextual", "median"] = Field(
        "none", description="of the label scores: none, by a content-free input, or by the training rows' median"
    )

    def found(self) -> frozenset[str]:
        """The calibration, where there is one."""
        return frozenset({"head.calibration"} if self.calibration != "none" else ())

    def build(self, context: BuildContext) -> Producer:
        """A prompt without vectors."""
        return Producer()


@register
class HeadOnly(Method):
    """A linear head on the frozen model's states."""

    name: ClassVar[str] = "head_only"
    title: ClassVar[str] = "WARP: Word-level Adversarial ReProgramming (its linear probing)"
    url: ClassVar[str] = "https://arxiv.org/abs/2101.00121"
    site: ClassVar[str] = "none"
    evidence: ClassVar[str] = "official code of WARP, which calls it linear probing"
    recipes: ClassVar[dict[str, Recipe]] = {
        "default": Recipe(1e-2, "our choice: features are standardised, so one rate serves all", epochs=60),
    }

    def build(self, context: BuildContext) -> Producer:
        """A prompt without vectors: the readout's head is all there is."""
        return Producer()

    def readout(self, kind: BackboneKind, *, has_lm_head: bool) -> ReadoutName:
        """Always the linear head."""
        return "head"


@register
class FullFinetuning(Method):
    """Every weight of the backbone trained."""

    name: ClassVar[str] = "full_finetuning"
    title: ClassVar[str] = "BERT: Pre-training of Deep Bidirectional Transformers (fine-tuning)"
    url: ClassVar[str] = "https://arxiv.org/abs/1810.04805"
    site: ClassVar[str] = "weights"
    evidence: ClassVar[str] = "common practice"
    recipes: ClassVar[dict[str, Recipe]] = {
        "encoder-decoder": Recipe(
            1e-3, "Lester et al. 2021, the tuning baseline", optimizer="adafactor", measured_on=("t5",)
        ),
        "default": Recipe(
            2e-5, "our choice within the usual 1e-5 to 5e-5", warmup_ratio=0.06, weight_decay=0.01, measured_on=()
        ),
    }

    train_embeddings: bool = Field(True, description="train the input embedding too")

    def build(self, context: BuildContext) -> Producer:
        """A trainable copy of the weights."""
        return Weights(self.train_embeddings)


class Weights(Producer):
    """Trainable copies of the backbone's parameters, in its own precision, which answer for them in its calls.

    The user's own parameters stay where they are, untouched.
    """

    def __init__(self, train_embeddings: bool) -> None:
        super().__init__()
        self.train_embeddings = train_embeddings
        self.weights = nn.ParameterDict()
        self._loaded = False

    def stand_ins(self, model: nn.Module) -> Mapping[nn.Module, StandIn]:
        """The copies, made where there are none yet; weights that are tied stay tied.

        Raises:
            SoftPromptError: the weights are not in memory, or the file's are not the model's.
        """
        places = self._places(model)
        if any(parameter.is_meta and fetching(module) is not None for module, _, parameter, _ in places):
            raise SoftPromptError(
                "the backbone's weights rest elsewhere (device_map), and this method trains them: load it whole"
            )
        coded = next((path for path, module in model.named_modules() if is_packed(module)), None)
        if coded is not None:
            raise SoftPromptError(
                f"the backbone is quantised ({coded}), and this method trains its weights: load it unquantised"
            )
        self._complete({key: parameter for _, _, parameter, key in places})
        found: dict[nn.Module, dict[str, Tensor]] = {}
        for module, name, _, key in places:
            found.setdefault(module, {})[name] = self.weights[key]
        return {module: StandIn(tensors) for module, tensors in found.items()}

    def stored_in(self, model: nn.Module) -> dict[str, Tensor]:
        """The model's own weights."""
        return {f"weights.{key}": parameter for _, _, parameter, key in self._places(model)}

    def _places(self, model: nn.Module) -> list[tuple[nn.Module, str, nn.Parameter, str]]:
        """Every module with a parameter that is trained, its name there, and its key; tied ones have one key."""
        embedding = getattr(model, "get_input_embeddings", lambda: None)()
        left = {id(p) for p in embedding.parameters()} if embedding is not None and not self.train_embeddings else set()
        keys: dict[int, str] = {}
        return [
            (module, name, parameter, keys.setdefault(id(parameter), f"{path}.{name}".replace(".", "/")))
            for path, module in model.named_modules()
            for name, parameter in parameters_of(module).items()
            if parameter is not None and id(parameter) not in left
        ]

    def _complete(self, wanted: dict[str, nn.Parameter]) -> None:
        """Copy what is not there yet; of weights from a file none may be missing.

        Raises:
            SoftPromptError: the file's weights are not the model's.
        """
        for key, parameter in wanted.items():
            if self._loaded and (key not in self.weights or self.weights[key].shape != parameter.shape):
                name = key.replace("/", ".")
                raise SoftPromptError(f"the prompt's file lacks the backbone's weight {name!r}: save the prompt again")
            if key not in self.weights:
                self.weights[key] = nn.Parameter(parameter.detach().clone())

    def load_stored(self, tensors: dict[str, Tensor]) -> None:
        """Take a copy of every weight, attached or not."""
        self._loaded = True
        with torch.no_grad():
            for key, value in tensors.items():
                name = key.removeprefix("weights.")
                if name in self.weights:
                    self.weights[name].copy_(value)
                else:
                    self.weights[name] = nn.Parameter(value.clone())
