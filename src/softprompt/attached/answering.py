"""An attached model that is asked in the task's own words, where a loaded prompt brings one.

How rows are answered is for the room above this one to say; a loaded prompt knows it (`Answerer`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, overload, runtime_checkable
from weakref import WeakSet

import torch
from torch import Tensor
from transformers import BatchEncoding

from softprompt.attached.generation import generate
from softprompt.attached.only_answers import OnlyAnswers
from softprompt.attached.saving import Saving
from softprompt.attached.standing import standing_in
from softprompt.backbones.resting import device_of
from softprompt.errors import SoftPromptError
from softprompt.guards.tokenizing import tokenise
from softprompt.readouts.base import Readout, inputs
from softprompt.sites.attached import Rows
from softprompt.tasks.task import Task
from softprompt.tasks.text.encoding import pad

if TYPE_CHECKING:
    from transformers import TextClassificationPipeline

Text: TypeAlias = str | Mapping[str, object]
Returned: TypeAlias = Literal["labels", "words", "probabilities"]
Returns: TypeAlias = list[str] | list[dict[str, float]]

_LOG = logging.getLogger(__name__)
_TOLD: WeakSet[Readout] = WeakSet()  # whose answers do not come from `generate`, which was said


@runtime_checkable
class Answerer(Protocol):
    """What a loaded prompt is here: it may have a task, and answers through whatever it is attached to."""

    task: Task | None
    readout: Readout | None

    def answers_through(
        self, prompted: Answering, texts: Sequence[Text], *, name: str, batch_size: int, returns: Returned
    ) -> Returns:
        """What `Prompt.predict` gives."""

    def pipeline_through(
        self, prompted: Answering, kind: str, *, name: str, options: Mapping[str, object]
    ) -> TextClassificationPipeline:
        """A pipeline of transformers."""


class Answering(Saving):
    """An attached model that knows the tasks of the loaded prompts that are attached."""

    @overload
    def answer(
        self,
        texts: Text | Sequence[Text],
        *,
        prompts: str | None = None,
        batch_size: int = 32,
        returns: Literal["labels", "words"] = "labels",
    ) -> list[str]: ...

    @overload
    def answer(
        self,
        texts: Text | Sequence[Text],
        *,
        prompts: str | None = None,
        batch_size: int = 32,
        returns: Literal["probabilities"],
    ) -> list[dict[str, float]]: ...

    def answer(
        self,
        texts: Text | Sequence[Text],
        *,
        prompts: str | None = None,
        batch_size: int = 32,
        returns: Returned = "labels",
    ) -> Returns:
        """What a loaded prompt answers to texts as they are, in its task's own words: `Prompt.predict`, through here.

        The task's template is put around each text. A head, label words, choices and free text are all read as the
        prompt was trained; `generate` goes on with ids, whatever the prompt was trained for.

        Args:
            texts: one text or several; where the task has more fields than one, mappings from field to text.
            prompts: the name of the prompt that is asked; may be left out where one is attached.
            batch_size: rows a forward pass.
            returns: `labels`; `words`, the labels' words; or `probabilities`, those of every label (or choice).

        Returns:
            An answer a text.

        Raises:
            SoftPromptError: the prompt has no task, a row has a fault, or the answers have no probabilities.

        Example:
            >>> with prompt.attach() as prompted:
            ...     prompted.answer("a moving film") == prompt.predict(["a moving film"])
            True
        """
        name, source = self._asked(prompts, "answer")
        return source.answers_through(self, _rows(texts), name=name, batch_size=batch_size, returns=returns)

    def pipeline(
        self, task: str = "text-classification", *, prompts: str | None = None, **options: object
    ) -> TextClassificationPipeline:
        """A pipeline of transformers that gives the labels and probabilities of a loaded prompt.

        Args:
            task: `text-classification`. (For `text-generation` transformers' own `pipeline` takes the attached model.)
            prompts: the name of the prompt that is asked; may be left out where one is attached.
            **options: of `transformers.TextClassificationPipeline`, such as `top_k` and `batch_size`.

        Raises:
            SoftPromptError: another task of transformers, or a prompt without classes.

        Example:
            >>> with prompt.attach() as prompted:
            ...     found = prompted.pipeline("text-classification")("a moving film")
            >>> [one["label"] for one in found] == prompt.predict(["a moving film"])
            True
        """
        name, source = self._asked(prompts, "pipeline")
        return source.pipeline_through(self, task, name=name, options=options)

    def encode(
        self,
        texts: Text | Sequence[Text],
        *,
        template: bool | None = None,
        prompts: str | None = None,
        **kwargs: object,
    ) -> BatchEncoding:
        """Texts as a padded batch on the model's device; causal models are padded on the left.

        Where the prompt that they are for was loaded with a task, they are encoded as it reads them: in the task's
        template, and cut as in training. Otherwise they are tokenised as they stand.

        Args:
            texts: one text or several; mappings from field to text for a template of more fields than one.
            template: whether to apply the template; by default where one prompt is attached, or `prompts` names one,
                and it has a task.
            prompts: the name of the prompt that the texts are for.
            **kwargs: passed to the tokenizer, of texts as they stand.

        Raises:
            SoftPromptError: there is no template to apply, it makes several sequences of a text (choices, mixtures), or
                options of the tokenizer are given beside it.
        """
        rows = _rows(texts)
        if template is None:
            name = self.names[0] if prompts is None and len(self.names) == 1 else prompts
            template = name is not None and self._answerer(name) is not None
        if template:
            return self._in_template(self._asked(prompts, "encode")[1], rows, prompts, kwargs)
        plain = [text for text in rows if isinstance(text, str)]
        if len(plain) < len(rows):
            raise SoftPromptError("encode: a row of fields needs a task's template: give texts, or a loaded prompt")
        if getattr(self.tokenizer, "pad_token", None) is None and "padding" not in kwargs and len(plain) > 1:
            return self._padded(tokenise(self.tokenizer, plain, **kwargs)["input_ids"])
        side = {"padding_side": "left"} if self.anatomy.kind == "causal" else {}
        batch = tokenise(self.tokenizer, plain, **{"padding": True, "return_tensors": "pt", **side, **kwargs})
        return batch.to(device_of(self.backbone))

    def _padded(self, rows: Sequence[Sequence[int]]) -> BatchEncoding:
        """Rows of ids as a batch, for a tokenizer that has no token to pad with: its end token, which is masked."""
        fill = int(self.tokenizer.eos_token_id or 0)
        ids, mask = pad(rows, fill, left=self.anatomy.kind == "causal")
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids) if mask is None else mask}
        return BatchEncoding(batch).to(device_of(self.backbone))

    def generate(
        self,
        inputs: Tensor | None = None,
        *,
        prompts: Rows = None,
        only_label_words: bool = False,
        **kwargs: object,
    ) -> Any:
        """The model's own `generate`; sequences come back without virtual tokens (see `attached/generation.py`).

        Args:
            inputs: the user's ids, `(batch, tokens)`; `input_ids=` does as well.
            prompts: as `forward` takes them.
            only_label_words: let nothing but a label word of the loaded prompt's task, and the end, be generated.
            **kwargs: as the model's own `generate` takes them; `max_length` and `min_length` count the user's tokens.

        Raises:
            SoftPromptError: an option that cannot work with virtual tokens, or a prompt that has no label words.
        """
        if only_label_words:
            kwargs |= self._constrained(prompts, kwargs)
        else:
            self._tell_of_generate(prompts)
        with self._gate.passing(), standing_in(self, {}):  # what is generated has the prompt itself in its cache
            return generate(self, inputs, prompts, **kwargs)

    def _answerer(self, name: str) -> Answerer | None:
        """The loaded prompt of a name, where it has a task and a readout."""
        self._index(name)
        source = self.sources.get(name)
        if not isinstance(source, Answerer) or source.task is None or source.readout is None:
            return None
        return source

    def _asked(self, prompts: str | None, what: str) -> tuple[str, Answerer]:
        """The prompt that a question is for."""
        name = self.names[self.rows(prompts, 1)[0]]
        source = self._answerer(name)
        if source is None:
            raise SoftPromptError(f"{what}: prompt {name!r} knows no task: attach a prompt that was trained on one")
        return name, source

    def _in_template(
        self, source: Answerer, texts: Sequence[Text], prompts: str | None, options: Mapping[str, object]
    ) -> BatchEncoding:
        task, readout = source.task, source.readout
        assert task is not None
        assert readout is not None
        if options:
            raise SoftPromptError(
                f"encode: {next(iter(options))} is the tokenizer's, and the template of task {task.name!r} is applied: "
                "leave it out, or give template=False"
            )
        encoded = [{text.ids for text in readout.encode(row).texts} for row in task.rows_of(texts)]
        if any(len(one) > 1 for one in encoded):
            raise SoftPromptError(
                f"encode: task {task.name!r} makes several sequences of a text: use answer, or template=False"
            )
        ids, mask = pad(
            [one for (one,) in encoded], int(self.tokenizer.pad_token_id or 0), left=self.anatomy.kind == "causal"
        )
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids) if mask is None else mask}
        given = inputs(self, batch, prompts)
        found = BatchEncoding({name: given[name] for name in ("input_ids", "attention_mask")})
        return found.to(device_of(self.backbone))

    def _constrained(self, prompts: Rows, given: Mapping[str, object]) -> dict[str, object]:
        """What lets `generate` give label words alone; what the user says of its other options stands."""
        if not (prompts is None or isinstance(prompts, str)):
            raise SoftPromptError("generate: only_label_words is for one prompt: give its name in prompts")
        name, source = self._asked(prompts, "generate")
        answers = None if source.readout is None else source.readout.answer_ids
        end = self.tokenizer.eos_token_id
        if answers is None or end is None:
            why = "its answers are no label words" if answers is None else "the tokenizer has no end token"
            raise SoftPromptError(f"generate: only_label_words cannot serve prompt {name!r} ({why}): use answer")
        only = OnlyAnswers(answers, int(end))
        usual = {
            "max_new_tokens": only.longest,
            "do_sample": False,
            "eos_token_id": only.end,
            "pad_token_id": int(self.tokenizer.pad_token_id or 0),
            "forced_bos_token_id": None,  # BART's would stand in front of every answer, which begins without it
        }
        if given.get("max_length") is not None:
            del usual["max_new_tokens"]
        kept = {name: value for name, value in usual.items() if given.get(name) is None}
        own = given.get("logits_processor")
        return {**kept, "logits_processor": [*(own if isinstance(own, Iterable) else ()), only]}

    def _tell_of_generate(self, prompts: Rows) -> None:
        """Say once of a prompt that was taught nothing but the scores of its labels what its text is worth."""
        if self.was_trained or isinstance(prompts, Tensor):
            return
        given = self.names if prompts is None else [prompts] if isinstance(prompts, str) else prompts
        for name in dict.fromkeys(one for one in given if isinstance(one, str)):
            source = self._answerer(name)
            readout = None if source is None else source.readout
            if readout is not None and not readout.generates and readout not in _TOLD:
                _TOLD.add(readout)
                also = "" if readout.answer_ids is None else ", or generate with only_label_words=True,"
                _LOG.warning(
                    "prompt %r answers by the scores of its labels alone, and nothing taught it to generate: "
                    "prompted.answer(texts)%s gives a label",
                    name,
                    also,
                )


def _rows(texts: Text | Sequence[Text]) -> Sequence[Text]:
    return [texts] if isinstance(texts, str | Mapping) else texts
