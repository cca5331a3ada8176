"""A model without prompts: what it is asked, what it gives, and whether it is still as it was."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel

from .verdict import Unknown, Wrong

# Two texts of other lengths, of the tests' tokenizer; no two of their words follow one another in the vocabulary.
ROWS = ([1, 10, 31, 12, 53, 14, 75], [1, 40, 21, 42])
ANSWER = [1, 20, 51, 22]  # what a decoder reads
SAME = 2e-4  # the largest difference of two outputs that are one, as a share of the largest number
ROW_ALONE = 5e-4

Run = Callable[..., Any]


def output(found: Any) -> Tensor:
    """What a model gave, without its graph."""
    return given(found).detach().clone()


def given(found: Any) -> Tensor:
    """Logits, else the last states, else what comes first."""
    named = [getattr(found, name, None) for name in ("logits", "last_hidden_state")]
    first: Tensor = next((one for one in named if isinstance(one, Tensor)), found[0])
    return first


def difference(got: Tensor, wanted: Tensor) -> float:
    """The largest difference of two outputs as a share of the largest number.

    Raises:
        Wrong: shapes differ, or the first is not finite.
        Unknown: the second is not finite.
    """
    if got.shape != wanted.shape:
        raise Wrong(f"shape {tuple(got.shape)} instead of {tuple(wanted.shape)}")
    if not torch.isfinite(wanted).all():
        raise Unknown("what to compare with is not finite")
    if not torch.isfinite(got).all():
        raise Wrong("the output is not finite")
    return float((got - wanted).abs().max() / (wanted.abs().max() + 1e-9))


def same(got: Tensor, wanted: Tensor, what: str, tolerance: float = SAME) -> str:
    """See that two outputs are one.

    Raises:
        Wrong: they are not.
    """
    found = difference(got, wanted)
    if found > tolerance:
        raise Wrong(f"{what}: {found:.1e} apart")
    return f"{found:.0e}"


def changed(got: Tensor, old: Tensor, what: str, least: float = 1e-6) -> None:
    """See that two outputs are not one.

    Raises:
        Wrong: they are.
    """
    if difference(got, old) < least:
        raise Wrong(f"{what} changes nothing")


class Bare:
    """One model of the sweep.

    Attributes:
        model: in evaluation mode.
        two_sided: whether a decoder reads `ANSWER` beside the text.
        pooled: whether a row gives one output instead of one a token.
        output: what it gives for the first row.
    """

    def __init__(self, model: PreTrainedModel, kind: str) -> None:
        """Run it once.

        Raises:
            Unknown: it needs more than ids and a mask, or gives no numbers.
        """
        self.model = model
        self.two_sided = bool(getattr(model.config, "is_encoder_decoder", False))
        self.generates = kind in ("causal", "seq2seq", "imagetext") and model.can_generate()
        self.start = 1
        self.ids = torch.tensor([ROWS[0]])
        if self.generates:
            start = getattr(model.config, "decoder_start_token_id", None)
            self.start = self.start if start is None else int(start)
            # The family's own habits (a forced language, an end that never comes) are none of the sweep's business.
            model.generation_config = GenerationConfig(
                pad_token_id=0, bos_token_id=1, do_sample=False, decoder_start_token_id=self.start
            )
        try:
            self.output = self.run(model)
        except Exception as error:
            first = (str(error).strip().splitlines() or [""])[0]
            raise Unknown(f"the bare model takes more than ids and a mask: {type(error).__name__}: {first}") from error
        by_column = self.output.ndim == 3 and self.output.shape[1] == self.ids.shape[1]
        self.pooled = kind == "seqcls" or not (self.two_sided or by_column)
        if not torch.isfinite(self.output).all():
            raise Unknown("the bare model gives no finite numbers")
        self.repeats = torch.equal(self.output, self.run(model))
        self.state = self._state()

    def twin(self) -> PreTrainedModel:
        """A copy that the library never sees."""
        return copy.deepcopy(self.model)

    @torch.no_grad()
    def run(self, call: Run, ids: Tensor | None = None, mask: Tensor | None = None, **more: Any) -> Tensor:
        """What a model gives for rows, by default the first."""
        ids = self.ids if ids is None else ids
        return output(call(**{**self.inputs(ids, mask), **more}))

    def inputs(self, ids: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        """Ids, their mask, and what a decoder reads."""
        given = {"input_ids": ids, "attention_mask": torch.ones_like(ids) if mask is None else mask}
        return {**given, **self.decoder_inputs(len(ids))}

    def decoder_inputs(self, rows: int = 1, ids: Tensor | None = None) -> dict[str, Tensor]:
        """What a decoder reads, where there is one."""
        read = torch.tensor([ANSWER]).expand(rows, -1) if ids is None else ids
        return {"decoder_input_ids": read} if self.two_sided else {}

    def apart(self, call: Run, side: str, **more: Any) -> float:
        """How far rows of a padded batch are from the same rows alone."""
        ids, mask = padded(side)
        together = self.run(call, ids, mask, **more)
        found = []
        for place, row in enumerate(ROWS):
            alone = self.run(call, torch.tensor([row]))
            own = together[place : place + 1]
            if not (self.two_sided or self.pooled):
                own = own[:, -len(row) :] if side == "left" else own[:, : len(row)]
            found.append(difference(own, alone))
        return max(found)

    @cached_property
    def mixes_padding(self) -> dict[str, str]:
        """How far padded rows are from the same alone in the bare model, with positions told or not, by side."""
        found = {}
        for side in ("left", "right"):
            positions = (padded(side)[1].cumsum(-1) - 1).clamp(min=0)
            own = []
            for more in ({}, {"position_ids": positions}):
                with contextlib.suppress(Exception):
                    own.append(self.apart(self.model, side, **more))
            found[side] = f"{min(own):.1e} without a prompt" if own else "no padding without a prompt"
        return found

    @cached_property
    def sees_later(self) -> bool | None:
        """Whether the first token's output is another where the last word is; None where there is no such output."""
        if self.two_sided or self.pooled:
            return None
        other = self.ids.clone()
        other[0, -1] = 60
        moved = (self.run(self.model, other) - self.output).abs().flatten(2).amax(-1)[0]
        return bool(moved[0] > 0.01 * moved[-1])

    def mixes(self, path: str) -> bool:
        """Whether what enters a layer at one column moves another's output, as no last feed-forward alone does."""
        twin = self.twin()

        def move(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            states = (args[0] if args else kwargs["hidden_states"]).clone()
            states[:, 0] += 30 * torch.randn_like(states[:, 0])
            return ((states, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": states})

        twin.get_submodule(path).register_forward_pre_hook(move, with_kwargs=True)
        return self.two_sided or self.pooled or difference(self.run(twin)[:, 1:], self.output[:, 1:]) > 1e-6

    def check_state(self) -> None:
        """See that the model is as it was.

        Raises:
            Wrong: names what is not.
        """
        now = self._state()
        left = [name for name, value in self.state.items() if now[name] != value]
        if left:
            raise Wrong(f"left behind: {', '.join(left)}")
        if self.repeats and not torch.equal(self.run(self.model), self.output):
            raise Wrong("left behind: the bare model's output is another")

    def _state(self) -> dict[str, object]:
        modules, parameters = list(self.model.modules()), list(self.model.parameters())
        configs = {id(one.config): one.config for one in modules if hasattr(one, "config")}
        return {
            "hooks": [(len(one._forward_pre_hooks), len(one._forward_hooks)) for one in modules],
            "modules": [(type(one).__name__, one.training) for one in modules],
            "attributes": [sorted(vars(one)) for one in modules],
            "gradients": [(one.requires_grad, one.grad is None) for one in parameters],
            "attention": [getattr(one, "_attn_implementation", None) for one in configs.values()],
        }


def paths_in(model: PreTrainedModel) -> dict[int, str]:
    """The path of each module."""
    return {id(module): path for path, module in model.named_modules()}


def padded(side: str) -> tuple[Tensor, Tensor]:
    """The rows as one batch and its mask, each `(rows, longest)`."""
    width = max(map(len, ROWS))

    def fill(row: list[int]) -> list[int]:
        free = [0] * (width - len(row))
        return free + row if side == "left" else row + free

    return torch.tensor([fill(row) for row in ROWS]), torch.tensor([fill([1] * len(row)) for row in ROWS])
