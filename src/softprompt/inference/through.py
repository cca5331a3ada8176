"""A prompt with a task, asked through a model that it is attached to, alone or with others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from softprompt.attached.answering import Answering, Returned, Returns, Text
from softprompt.errors import SoftPromptError
from softprompt.inference.predict import answers
from softprompt.inference.returned import check_returned, returned
from softprompt.readouts import Readout
from softprompt.tasks import Row, Task

if TYPE_CHECKING:
    from transformers import TextClassificationPipeline


class Through:
    """What `Prompt` answers; the methods of an attached model ask these.

    Attributes:
        task: what it was trained for, or None.
        readout: how its answers are read, or None where there is no task.
    """

    task: Task | None
    readout: Readout | None

    def answers_through(
        self, prompted: Answering, texts: Sequence[Text], *, name: str, batch_size: int, returns: Returned
    ) -> Returns:
        """What `Prompt.predict` gives, through a model that the prompt is attached to under a name.

        Raises:
            SoftPromptError: there is no task, a row has a fault, or the answers have no probabilities.
        """
        task, readout = self.asked()
        rows = task.rows_of(texts)
        check_returned(task, returns)
        return returned(answers(prompted, task, readout, rows, batch_size=batch_size, prompts=name), returns)

    def pipeline_through(
        self, prompted: Answering, kind: str, *, name: str, options: Mapping[str, object]
    ) -> TextClassificationPipeline:
        """A pipeline of transformers that gives what `predict` gives; see `PromptedModel.pipeline`.

        Raises:
            SoftPromptError: there is no task, or no such pipeline for it.
        """
        from softprompt.inference.pipeline import classifier  # half a second of imports

        return classifier(prompted, kind, *self.asked(), name=name, options=options)

    def asked(self) -> tuple[Task, Readout]:
        """The task and the readout.

        Raises:
            SoftPromptError: there are none.
        """
        if self.task is None or self.readout is None:
            raise SoftPromptError("this prompt was saved without a task: attach it and call the model itself")
        return self.task, self.readout

    def _rows(self, texts: Sequence[Text]) -> list[Row]:
        return self.asked()[0].rows_of(texts)
