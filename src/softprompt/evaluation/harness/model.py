"""The harness's three kinds of request, answered by an attached prompt.

- `loglikelihood`: the context conditions the prompt, the continuation does not;
- `loglikelihood_rolling`: each window is a text of its own with the prompt in front, and what conditions it is the
  window's context as the harness cuts it: the token that opens a text, later the one before the window's first;
- `generate_until`: the context conditions the prompt, what is written does not.

Texts are cut on the left, as the harness cuts them but row by row, to what the model has positions for beside the
prompt. How pairs are tokenised and windows are cut is the harness's own code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from softprompt.attached.model import PromptedModel
from softprompt.errors import SoftPromptError, quoted
from softprompt.evaluation.harness.asking import Asking, Context, Pair, Scored
from softprompt.guards.tokenizing import token_ids
from softprompt.sites.producer import Producer
from softprompt.tasks.text.encoding import affixes

try:
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import TemplateLM
    from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs, postprocess_generated_text
    from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
    from tqdm import tqdm
except ImportError:
    raise SoftPromptError("lm-evaluation-harness is not installed: pip install 'softprompt[lm-eval]'") from None

LONGEST = 2048  # tokens of a text where the model has positions for any number: the harness's own default
GENERATED = 256  # new tokens at most where a task does not say: the harness's own default
_Request: TypeAlias = tuple[object, list[int], list[int]]  # what was asked, in words and in ids


class HarnessLM(TemplateLM):
    """An attached prompt as a model of the harness: `lm_eval.simple_evaluate(model=HarnessLM(prompted), ...)`.

    Args:
        prompted: the attached model.
        prompt: the name of the prompt that is asked; may be left out where one is attached.
        batch_size: rows a forward pass.
        max_length: most tokens of a text; by default all that the model has positions for beside the prompt.

    Raises:
        SoftPromptError: an encoder, which goes on with no text; a prompt whose virtual tokens stand for the words of
            its own templates; or a number that is none.
    """

    def __init__(
        self,
        prompted: PromptedModel,
        *,
        prompt: str | None = None,
        batch_size: int | str = 1,
        max_length: int | str | None = None,
    ) -> None:
        """See the class."""
        super().__init__()
        if prompted.anatomy.kind == "encoder":
            raise SoftPromptError("the harness asks how a text goes on, which an encoder does not know: use evaluate")
        place = prompted.rows(prompt, 1)[0]
        producer = prompted.prompts[place]
        assert isinstance(producer, Producer)
        if producer.footprint.pool:
            raise SoftPromptError(
                f"prompt {prompted.names[place]!r} stands for the words of its own templates, which no task of the "
                "harness has: use evaluate"
            )
        self.asking = Asking(prompted, prompted.names[place], number("batch_size", batch_size))
        self.tokenizer = prompted.tokenizer
        self.backend = "seq2seq" if self.asking.seq2seq else "causal"
        self.max_length = self._longest(None if max_length is None else number("max_length", max_length))

    def _longest(self, wanted: int | None) -> int:
        """Most tokens of a text, with room for the prompt beside it."""
        positions, slots = self.asking.prompted.anatomy.max_positions, self.asking.slots
        if positions is None:
            return wanted or LONGEST
        taken = slots.count + slots.prefix
        if wanted is not None and wanted > positions - taken:
            raise SoftPromptError(
                f"max_length={wanted}: the backbone has {positions} positions, of which the prompt takes {taken}: give "
                f"at most {positions - taken}"
            )
        return wanted or positions - taken

    @property
    def batch_size(self) -> int:
        """Rows a forward pass."""
        return self.asking.batch_size

    @property
    def eot_token_id(self) -> int:
        """The id that ends a text."""
        if self.tokenizer.eos_token_id is None:
            raise SoftPromptError("the tokenizer has no end token, which the harness needs: set its eos_token")
        return int(self.tokenizer.eos_token_id)

    @property
    def prefix_token_id(self) -> int:
        """The id that stands in the place of an empty context: the one that opens a text, or else the end's."""
        opening = self.tokenizer.bos_token_id
        return self.eot_token_id if opening is None else int(opening)

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: object) -> list[int]:
        """The ids of a text, with what the tokenizer puts before it; behind it only where an encoder reads it."""
        ids = token_ids(self.tokenizer, string)
        before, after = affixes(self.tokenizer)
        opened = add_special_tokens is None and bool(before) and tuple(ids[: len(before)]) == before
        if add_special_tokens is False or opened:
            return ids
        return [*before, *ids, *(after if self.asking.seq2seq else ())]

    def loglikelihood_rolling(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[float]:
        """The log-likelihood of each text, window after window."""
        windows: list[_Request] = []
        owners: list[int] = []
        for place, request in enumerate(requests):
            (text,) = request.args
            cut = get_rolling_token_windows(self.tok_encode(text), self.prefix_token_id, self.max_length, 1)
            for context, answer in map(make_disjoint_window, cut):
                windows.append((None, context, answer))
                owners.append(place)
        sums = [0.0] * len(requests)
        for place, (value, _) in zip(owners, self._loglikelihood_tokens(windows, disable_tqdm), strict=True):
            sums[place] += value
        for request, value in zip(requests, sums, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, value)
        return sums

    def _loglikelihood_tokens(
        self, requests: Sequence[_Request], disable_tqdm: bool = False, **_: object
    ) -> list[Scored]:
        """The log-likelihood of each continuation, and whether each of its tokens is the likeliest."""
        pairs = [self._fitted(context, answer) for words, context, answer in requests]
        with tqdm(total=len(pairs), disable=disable_tqdm, desc="Running loglikelihood requests") as bar:
            found = self.asking.scores(pairs, bar.update)
        for request, one in zip(requests, found, strict=True):
            if request[0] is not None:
                self.cache_hook.add_partial("loglikelihood", request[0], one)
        return found

    def _fitted(self, context: Sequence[int], answer: Sequence[int]) -> Pair:
        """Cut on the left, to `max_length` ids that are read; the last of the answer is predicted and not read."""
        if not answer:
            raise SoftPromptError("a continuation has no tokens, so it has no score: give the task's choices a text")
        if len(answer) > self.max_length:
            raise SoftPromptError(
                f"a continuation has {len(answer)} tokens, and a text may have {self.max_length}: shorten it, or raise "
                "max_length"
            )
        room = self.max_length if self.asking.seq2seq else self.max_length + 1 - len(answer)
        return Pair(tuple(context[-room:]), tuple(answer))

    def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        """What each context is gone on with, up to the first of the texts that end it."""
        found = [""] * len(requests)
        alike: dict[str, list[int]] = {}  # the places of requests by their options
        for place, request in enumerate(requests):
            alike.setdefault(repr(request.args[1]), []).append(place)
        with tqdm(total=len(requests), disable=disable_tqdm, desc="Running generate_until requests") as bar:
            for places in alike.values():
                contexts = [requests[place].args[0] for place in places]
                texts = self._written(contexts, requests[places[0]].args[1], bar)
                for place, text in zip(places, texts, strict=True):
                    found[place] = text
                    self.cache_hook.add_partial("generate_until", requests[place].args, text)
        return found

    def _written(self, texts: Sequence[str], options: Mapping[str, object], bar: tqdm) -> list[str]:
        """What contexts with the same options are gone on with."""
        given = normalize_gen_kwargs(dict(options), GENERATED)
        until = handle_stop_sequences(given.pop("until"), eos=self.tokenizer.decode([self.eot_token_id]))
        new = given.pop("max_gen_toks")
        if not given["do_sample"]:
            given.pop("temperature", None)
        room = self.max_length if self.asking.seq2seq else self.max_length - new
        if room < 1:
            raise SoftPromptError(
                f"a task asks for {new} new tokens, and a text may have {self.max_length} with them: lower its "
                "max_gen_toks"
            )
        contexts = [Context(tuple(self.tok_encode(text)[-room:]) or (self.prefix_token_id,)) for text in texts]
        chosen = {"max_new_tokens": new, "eos_token_id": self.eot_token_id, **given}
        written = self.asking.written(contexts, until, chosen, bar.update)
        decoded = [self.tokenizer.decode(list(ids), skip_special_tokens=True) for ids in written]
        return [postprocess_generated_text(text, until, None) for text in decoded]


def number(name: str, given: object) -> int:
    """A whole number of at least 1, as `model_args` may write it.

    Raises:
        SoftPromptError: it is none, such as `batch_size=auto`.
    """
    text = str(given)
    if not (text.isascii() and text.isdigit() and int(text)):
        raise SoftPromptError(f"{name}={quoted(text)}: give a whole number of at least 1")
    return int(text)
