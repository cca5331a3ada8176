"""The checks of one model: at every site, and of what a refusal says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

import softprompt as sp
from softprompt.attached.attach import build
from softprompt.methods import methods

from .bare import ROW_ALONE, Bare, changed, difference, given, paths_in, same
from .cases import CASES, Case, filled
from .generation import Generation
from .verdict import ERROR, REFUSED, Unknown, Verdict, Wrong, judged

Results = dict[str, Verdict]


class Checks:
    """One model with each case.

    Attributes:
        bare: the model.
        tokenizer: its own.
    """

    def __init__(self, bare: Bare, tokenizer: Any) -> None:
        """See the class."""
        self.bare, self.tokenizer = bare, tokenizer

    def all(self) -> Results:
        """Each check by its name, `METHOD CHECK`."""
        found: Results = {}
        for case in CASES:
            found |= self.of_case(case)
        return found

    def of_case(self, case: Case) -> Results:
        """A case's own checks; behind a refusal there is nothing but what it says."""
        tried = Tried(self.bare, self.tokenizer, case)
        first = judged(tried.effect)
        found = {"effect": first}
        if first.word == REFUSED:
            found["refusal"] = judged(partial(self.true, case, first.note, attached=tried.producer is not None))
        elif first.word != ERROR:
            checks: dict[str, Callable[[], object]] = {
                "reference": tried.reference,
                "rows": tried.rows,
                "again": tried.again,
                "gradient": tried.gradient,
                "bfloat16": tried.half,
            }
            if self.bare.generates:
                ways = Generation(self.bare, case, tried.producer, self.tokenizer)
                checks |= {"generate": ways.steps, "generate rows": ways.rows}
            found |= {name: judged(check) for name, check in checks.items()}
        found["detach"] = judged(self.bare.check_state)
        return {f"{case.name} {name}": verdict for name, verdict in found.items()}

    def true(self, case: Case, line: str, *, attached: bool) -> None:
        """A refusal comes before the first call, and its line names a method that works where there is one.

        Raises:
            Wrong: it is otherwise.
        """
        if attached:
            raise Wrong("refused only when called")
        named = [name for name in methods() if name != case.name and re.search(rf"\b{name}\b", line)]
        known = {one.name: one.method for one in CASES}
        idle = [name for name in named if not self.works(known.get(name, sp.method(name)))]
        if idle:
            raise Wrong(f"the line names {', '.join(idle)}, which does not work")
        others = [one.name for one in CASES if one.name != case.name and self.works(one.method)]
        if others and not named:
            raise Wrong(f"the line names no method, and {others[0]} works")

    def works(self, method: sp.Method) -> bool:
        """Whether a method can be attached and called."""
        try:
            with sp.attach(self.bare.model, self.tokenizer, method) as prompted:
                self.bare.run(prompted)
        except Exception:
            return False
        return True


class Tried:
    """One model with one case.

    Attributes:
        producer: the prompt, once it is made.
        output: what the model gives with it for the first row.
    """

    def __init__(self, bare: Bare, tokenizer: Any, case: Case) -> None:
        """See the class."""
        self.bare, self.tokenizer, self.case = bare, tokenizer, case
        self.producer: Any = None
        self.output: Tensor
        self.anatomy: sp.Anatomy

    @contextmanager
    def attached(self, model: Any = None) -> Iterator[Any]:
        """The prompt on the model, or on another."""
        with sp.attach(self.bare.model if model is None else model, self.tokenizer, self.producer) as prompted:
            yield prompted

    def effect(self) -> None:
        """The prompt changes what the model gives, and so does each of its parts."""
        made = filled(self.case, build(self.bare.model, self.tokenizer, self.case.method))
        with sp.attach(self.bare.model, self.tokenizer, made) as prompted:
            self.producer, self.anatomy = made, prompted.anatomy
            if self.anatomy.kind in ("causal", "encoder") and self.bare.sees_later == (self.anatomy.kind == "causal"):
                raise Wrong(f"read as {self.anatomy.kind}, which it is not: do its tokens see later ones?")
            self.output = self.bare.run(prompted)
            changed(self.output, self.bare.output, "the prompt", 1e-5)
            idle = [name for name, nudge in self.case.parts(made) if not self._counts(prompted, nudge)]
            if self.case.site == "hidden" and idle:
                last = paths_in(self.bare.model)[id(self.anatomy.layers[-1])]
                place = f"capsule of layer {self.anatomy.num_layers - 1}"
                idle = [name for name in idle if name != place or self.bare.mixes(last)]
            if idle:
                raise Wrong(f"without effect: {', '.join(idle)}")

    def _counts(self, prompted: Any, nudge: Callable[[float], AbstractContextManager[None]]) -> bool:
        """Whether a part of the prompt makes a difference; where attention is all on one token a small one may not."""
        for size in (1.0, 30.0):
            with nudge(size):
                if difference(self.bare.run(prompted), self.output) > 1e-6:
                    return True
        return False

    def reference(self) -> str:
        """What the bare model gives by its own means."""
        wanted = self.case.reference(self.bare, self.bare.twin(), self.producer, self.anatomy)
        return same(self.output, wanted, "reference")

    def rows(self) -> None:
        """A batch of rows of other lengths gives what each row gives alone, padded on either side."""
        faults, refused = [], []
        with self.attached() as prompted:
            for side in ("left", "right"):
                try:
                    found = self.bare.apart(prompted, side)
                except sp.SoftPromptError as refusal:
                    refused.append(refusal)
                    continue
                if found > ROW_ALONE:
                    faults.append(f"padded {side} {found:.1e} apart ({self.bare.mixes_padding[side]})")
        if faults:
            raise Wrong("; ".join(faults))
        if refused:
            raise refused[0]

    def again(self) -> None:
        """Attached anew, twice, the same prompt gives the same bits."""
        for time in ("second", "third"):
            with self.attached() as prompted:
                got = self.bare.run(prompted)
            if self.bare.repeats and not torch.equal(got, self.output):
                raise Wrong(f"attached a {time} time: {difference(got, self.output):.1e} apart")
            self.bare.check_state()

    def gradient(self) -> None:
        """A gradient reaches the prompt and nothing else."""
        with self.attached() as prompted:
            found = given(prompted(**self.bare.inputs(self.bare.ids)))
            (found.float() * torch.linspace(-1, 1, found.numel()).view_as(found)).mean().backward()
            others = [name for name, one in self.bare.model.named_parameters() if one.grad is not None]
            gradients = [one.grad for one in self.producer.parameters() if one.requires_grad]
        self.producer.zero_grad(set_to_none=True)
        if others:
            raise Wrong(f"a gradient reaches the model's {others[0]}")
        if any(one is None or not torch.isfinite(one).all() for one in gradients):
            raise Wrong("a parameter of the prompt has no gradient, or none that is finite")
        if not any(bool(one.any()) for one in gradients):
            raise Wrong("the prompt's gradient is zero")

    def half(self) -> str:
        """In bfloat16 the model gives what it gives in float32, as nearly as it does without a prompt."""
        try:
            rounded = self.bare.twin().to(torch.bfloat16)
            plain = self.bare.run(rounded)
        except Exception as error:
            raise Unknown(f"the bare model in bfloat16: {type(error).__name__}") from error
        own = _far(plain, self.bare.output)
        if own > 0.1:
            raise Unknown(f"the bare model in bfloat16 is {own:.1e} apart")
        with self.attached(rounded) as prompted:
            got = self.bare.run(prompted)
        if got.dtype != plain.dtype:
            raise Wrong(f"{plain.dtype} became {got.dtype}")
        found = _far(got, self.output)
        if not found <= max(0.4, 5 * own):
            raise Wrong(f"in bfloat16 {found:.1e} apart, without a prompt {own:.1e}")
        return f"{found:.0e}"


def _far(got: Tensor, wanted: Tensor) -> float:
    """How far rounding took an output, all of it together: one token may go to another expert."""
    return float((got.float() - wanted).norm() / wanted.norm())
