"""How long a training will take here, measured in a process of its own: `python -m softprompt.studio.estimate DRAFT`.

The draft comes as JSON, and the answer is the last line of what is printed, JSON as well. The backbone is loaded and a
few steps are taken (`compare.outlook`); nothing is written.
"""

from __future__ import annotations

import sys
import time

from pydantic import BaseModel, ConfigDict, TypeAdapter

from softprompt.errors import SoftPromptError
from softprompt.studio.drafts import SEED, Draft

MODULE = "softprompt.studio.estimate"


class Estimate(BaseModel):
    """What is expected.

    Attributes:
        method: that is trained.
        told: what was chosen where the draft leaves it open, a line each.
        steps: where nothing stops it early.
        seconds: in all, with loading.
        least: it may take longer.
        fault: why it cannot be trained; then there is nothing else.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    method: str = ""
    told: tuple[str, ...] = ()
    steps: int = 0
    seconds: float = 0.0
    least: bool = False
    fault: str = ""


_DRAFT = TypeAdapter(Draft)


def words_for(draft: Draft) -> list[str]:
    """The words of the process that measures a draft."""
    return [MODULE, _DRAFT.dump_json(draft).decode()]


def measured(draft: Draft, begun: float) -> Estimate:
    """Measure a draft.

    Args:
        draft: what is to be trained.
        begun: when its process was, on the monotonic clock.

    Raises:
        SoftPromptError: it cannot be trained.
    """
    from softprompt.backbones.load import load_backbone
    from softprompt.compare.outlook import expected, paces
    from softprompt.progress import Progress
    from softprompt.training.options import training_options
    from softprompt.training.specified import WantedRun, specified

    backbone = load_backbone(draft.backbone)
    options = training_options({} if draft.epochs is None else {"epochs": draft.epochs})
    loaded = time.monotonic()
    asked = WantedRun(draft.task(), draft.method or None, options, SEED, draft.out)
    run = specified(backbone, asked, Progress(shown=False))
    found = expected(run, paces(run, loaded))
    seconds = loaded - begun + found.seconds
    return Estimate(method=run.method.name, told=run.told, steps=found.steps, seconds=seconds, least=found.least)


def main() -> None:
    """Measure the draft of the command line and print what is expected."""
    begun = time.monotonic()
    try:
        found = measured(_DRAFT.validate_json(sys.argv[1]), begun)
    except SoftPromptError as error:
        found = Estimate(fault=str(error))
    print(found.model_dump_json())


if __name__ == "__main__":
    main()
