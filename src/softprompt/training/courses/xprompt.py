"""XPrompt's stages: tune, prune tokens, prune pieces, rewind; see `softprompt.methods.xprompt`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from softprompt.evaluation.score import Scores
from softprompt.methods.xprompt import Pruned, XPrompt
from softprompt.training.courses.registry import course
from softprompt.training.courses.work import Work


@dataclass(frozen=True)
class Ticket:
    """A candidate prompt: what is left of the tuned one.

    Attributes:
        stage: the name of its rewinding.
        rate: the share that was pruned for it.
        kept: ranks of the tokens left.
        pieces: which of their pieces are left, bool, `(kept, pieces)`; None for all.
    """

    stage: str
    rate: float
    kept: tuple[int, ...]
    pieces: Tensor | None


@dataclass(frozen=True)
class Tuned:
    """What rewinding goes back to: the run as it stood before anything was pruned.

    Attributes:
        method: as the user gave it.
        table: the tuned prompt, `(p, E)`.
        readout: the readout's trained parameters, where it has any.
    """

    method: XPrompt
    table: Tensor
    readout: dict[str, Tensor]


@course("xprompt")
def xprompt(work: Work) -> None:
    """Tune, then prune tokens and pieces at the rates that serve the validation rows best."""
    method = work.method
    assert isinstance(method, XPrompt)
    work.fit("tune")
    state = {name: value.detach().clone() for name, value in work.readout.state_dict().items()}
    tuned = Tuned(method, _prompt(work).table.detach().clone(), state)
    tokens = torch.tensor(work.once("token-importance", lambda: _importance(work, _prompt(work).token_importance)))
    by_tokens = [
        Ticket(f"tokens-{rate:g}", rate, _survivors(tokens, rate), None) for rate in sorted(set(method.token_rates))
    ]
    chosen, tried = (by_tokens[0], []) if len(by_tokens) == 1 else _best(work, tuned, by_tokens)
    _rewind(work, tuned, chosen)
    pieces = torch.tensor(work.once("piece-importance", lambda: _importance(work, _prompt(work).piece_importance)))
    by_pieces = [
        Ticket(f"pieces-{rate:g}", rate, chosen.kept, _left(pieces, rate)) for rate in sorted(set(method.piece_rates))
    ]
    final, tried_next = _best(work, tuned, by_pieces)
    _rewind(work, tuned, final)
    work.trained.load_state_dict(work.best_of(final.stage))
    mask = _prompt(work).mask
    work.report["pruned"] = {
        "token_rate": chosen.rate,
        "piece_rate": final.rate,
        "tokens_kept": list(final.kept),
        "tokens_pruned": [rank for rank in range(len(tuned.table)) if rank not in final.kept],
        "pieces_kept": int(mask.sum()),
        "pieces_pruned": int((~mask).sum()),
        "kept_parameters": _prompt(work).kept_scalars(),
        "token_importance": tokens.tolist(),
        "tried": [*tried, *tried_next],
    }


def _prompt(work: Work) -> Pruned:
    own = work.producer
    assert isinstance(own, Pruned)
    return own


def _importance(work: Work, of: Callable[[Tensor], Tensor]) -> list[float]:
    """The mean over the training rows of an importance that is read off the table's gradient."""
    assert isinstance(work.method, XPrompt)
    total: Tensor | None = None
    batches = 0
    size = work.method.importance_batch
    with work.show.work("importance", len(work.items), "rows") as tick:
        for (gradient,) in work.gradients([_prompt(work).table], batch_size=size):
            own = of(gradient)
            total = own if total is None else total + own
            batches += 1
            tick(min(size, len(work.items) - size * (batches - 1)))
    assert total is not None
    return (total / batches).tolist()


def _survivors(importance: Tensor, rate: float) -> tuple[int, ...]:
    """The most important ranks, in their order; at least one."""
    count = max(1, len(importance) - round(rate * len(importance)))
    order = importance.argsort(descending=True, stable=True)
    return tuple(sorted(order[:count].tolist()))


def _left(importance: Tensor, rate: float) -> Tensor:
    """The most important pieces of the whole prompt, bool, of the importance's shape; at least one."""
    mask = torch.zeros(importance.numel(), dtype=torch.bool)
    mask[list(_survivors(importance.flatten(), rate))] = True
    return mask.view(importance.shape)


def _rewind(work: Work, tuned: Tuned, ticket: Ticket) -> None:
    """Attach what is left, with the values that it had before the pruning."""
    ranks = tuned.method.kept or tuple(range(len(tuned.table)))
    kept = tuple(ranks[place] for place in ticket.kept)
    work.replace(method=tuned.method.model_copy(update={"kept": kept}))
    work.readout.load_state_dict(tuned.readout)
    prompt = _prompt(work)
    with torch.no_grad():
        prompt.table.copy_(tuned.table[list(ticket.kept)])
        if ticket.pieces is not None:
            prompt.mask.copy_(ticket.pieces)


def _best(work: Work, tuned: Tuned, tickets: Sequence[Ticket]) -> tuple[Ticket, list[dict[str, object]]]:
    """Rewind each candidate; the best on the validation rows, and how all did."""
    found: list[dict[str, object]] = []
    best: tuple[Ticket, Scores] | None = None
    for ticket in tickets:
        _rewind(work, tuned, ticket)
        metrics = work.fit(ticket.stage)
        found.append({"stage": ticket.stage, work.task.metric: metrics[work.task.metric], "loss": metrics["loss"]})
        if best is None or work.better(metrics, best[1]):
            best = ticket, metrics
    assert best is not None
    return best[0], found
