"""What several ranks can train, and that all of them train the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from softprompt.errors import SoftPromptError
from softprompt.methods.base import Method
from softprompt.methods.parts.layers import OverLayers
from softprompt.ranks import here
from softprompt.training.hold import hold_folder
from softprompt.training.options import TrainingOptions
from softprompt.training.run_folder import leaving_nothing, take_folder
from softprompt.training.setup import RunSpec

COURSES = ("fit", "layers", "xprompt")  # whose every look at rows and files is shared


def check_ranks(run: RunSpec) -> None:
    """Make sure that the ranks that were started can train a run, and that each is about to train the same.

    Raises:
        SoftPromptError: they cannot, or the rows or the backbone of one are others.
    """
    ranks = here()
    if ranks.count == 1:
        no_shard(run.options)
        return
    method, size, alone = run.method, run.plan.batch_size, "start it without torchrun"
    if method.course not in COURSES:
        raise SoftPromptError(f"method {method.name!r}: its course {method.course!r} runs in one process: {alone}")
    if method.couples_rows():
        raise SoftPromptError(
            f"method {method.name!r}: its loss has a term of the whole batch, which no rank sees: {alone}"
        )
    if size < ranks.count:
        raise SoftPromptError(
            f"batch_size {size} is less than the {ranks.count} ranks, and it is that of all of them together: give "
            f"--batch-size {ranks.count} or more, or start fewer"
        )
    if run.options.shard and (method.site == "weights" or method.course == "xprompt" or not _settled(method)):
        raise SoftPromptError(
            f"method {method.name!r}: it reads or changes the backbone's weights while it trains, which shard splits: "
            "leave shard out"
        )
    leading, *others = ranks.gathered(run.identity)
    for index, other in enumerate(others, 1):
        unlike = next((key for key in leading if other.get(key) != leading[key]), None)
        if unlike is not None:
            raise SoftPromptError(
                f"rank {index} is about to train another run than rank 0 ({unlike} differs): start all of them with "
                "the same options, files and versions"
            )


def no_shard(options: TrainingOptions) -> None:
    """Make sure that nobody asks one process to split a backbone.

    Raises:
        SoftPromptError: somebody does.
    """
    if options.shard:
        raise SoftPromptError(
            "shard splits the backbone over several ranks, and here is one process: leave it out, or start softprompt "
            "train with torchrun --nproc-per-node N -m softprompt train"
        )


def _settled(method: Method) -> bool:
    """Whether no prompt is drawn anew between two stages."""
    return not isinstance(method, OverLayers) or method.selection.settled


@contextmanager
def claimed(run: RunSpec, resume: bool, begun: Mapping[str, object]) -> Iterator[bool]:
    """Take a run's folder in the name of all ranks: rank 0 holds it, and the others hear its verdict.

    Args:
        run: whose folder it is.
        resume: it may hold the run already.
        begun: what is recorded beside the identity.

    Yields:
        Whether the run in it is finished.

    Raises:
        SoftPromptError: it holds another, or another process is at work in it.
    """
    with ExitStack() as stack:

        def claim() -> bool:
            fresh = stack.enter_context(hold_folder(run.folder))
            stack.enter_context(leaving_nothing(run.folder, fresh))
            return take_folder(run.folder, run.identity, resume, begun)

        yield here().first(claim)
