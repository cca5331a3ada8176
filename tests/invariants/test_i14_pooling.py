"""I14: padding, answers and generated tokens never enter a pooled mean."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from softprompt.attached.model import PromptedModel
from softprompt.methods import BuildContext, CaPT, Method
from softprompt.sites.producer import Producer, View

from ..shared.models import PAD, ids, padded
from ..shared.prompts import close, every_decoder, every_family, every_method, logits, tiny


class Pooled(Method):
    """A reader's method at the site `stream`: the mean of the instance, times trained vectors."""

    name = "pooled"
    title = "a test"
    url = "https://example.org"
    site = "stream"
    recipes = {}

    def build(self, context: BuildContext) -> Producer:
        return PooledProducer(torch.randn(2, context.anatomy.embedding_size, generator=context.generator))


class PooledProducer(Producer):
    count = 2

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.rows = nn.Parameter(rows)
        self.seen: list[Tensor] = []

    def embed(self, view: View) -> Tensor:
        mean = view.mean()
        self.seen.append(mean.detach())
        return self.rows * mean


CONDITIONED: dict[str, Method] = {
    "capt": CaPT(init_std=0.5),
    "prepending": CaPT(init_std=0.5, variant="prepending"),
    "projection": CaPT(init_std=0.5, variant="projection"),
    "pooled": Pooled(),
}
every_conditioned = pytest.mark.parametrize("kind", list(CONDITIONED))


@every_family
@every_conditioned
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding(family: str, kind: str, side: str) -> None:
    with tiny(family, CONDITIONED[kind]) as prompted, torch.no_grad():
        alone = logits(prompted, ids(5))[0]
        batch, mask = padded([ids(5), ids(8, 1)], side)
        for word in (PAD, 55):
            close(logits(prompted, torch.where(mask.bool(), batch, word), mask)[0], alone)


@every_family
def test_the_mean_is_the_mean_of_the_text(family: str) -> None:
    with tiny(family, CONDITIONED["pooled"]) as prompted, torch.no_grad():
        part = prompted.anatomy
        batch, mask = padded([ids(5), ids(8, 1)], "left")
        logits(prompted, batch, mask)
        (mean,) = prompted.prompts[0].seen
        if part.embedding_size == part.hidden_size or part.family == "albert":
            for row in range(2):
                words = part.embedding(batch[row][mask[row].bool()])
                close(mean[row, 0], words.mean(0), 1e-5)


@every_decoder
@every_method
def test_answers(family: str, method: str) -> None:
    """Under teacher forcing, what comes before an answer does not change with it."""
    with tiny(family, method) as prompted, torch.no_grad():
        check_answers(prompted)


@every_decoder
@every_conditioned
def test_answers_of_conditioned_prompts(family: str, kind: str) -> None:
    with tiny(family, CONDITIONED[kind]) as prompted, torch.no_grad():
        check_answers(prompted)
        asked = ids(8)
        other = torch.cat([asked[:, :5], ids(4, 9)[:, 1:]], 1)
        one, two = (prompted(input_ids=given).logits[:, :5] for given in (asked, other))
        assert (one - two).abs().max() > 1e-3  # without labels all of the text conditions the prompt


def check_answers(prompted: PromptedModel) -> None:
    asked = ids(8)
    other = torch.cat([asked[:, :5], ids(4, 9)[:, 1:]], 1)
    results = []
    for given in (asked, other):
        labels = given.clone()
        labels[:, :5] = -100
        out = prompted(input_ids=given, labels=labels)
        results.append(out.logits[:, :5])
        mask = labels == -100
        close(prompted(input_ids=given, conditioning_mask=mask).logits, out.logits, 1e-6)
    close(results[0], results[1], 1e-6)


@every_decoder
@every_conditioned
def test_training_and_generation_make_the_same_prompt(family: str, kind: str) -> None:
    """Teacher-forced logits of an answer are those with which it is generated."""
    with tiny(family, CONDITIONED[kind]) as prompted, torch.no_grad():
        out = prompted.generate(
            ids(5),
            max_new_tokens=4,
            min_new_tokens=4,
            do_sample=False,
            return_dict_in_generate=True,
            output_logits=True,
        )
        labels = out.sequences.clone()
        labels[:, :5] = -100
        forced = prompted(input_ids=out.sequences, labels=labels).logits[:, 4:-1]
        close(forced, torch.stack(out.logits, 1))


@pytest.mark.parametrize("family", ["llama", "bert"])
def test_a_row_without_conditioning_text_has_a_zero_mean(family: str) -> None:
    with tiny(family, CONDITIONED["pooled"]) as prompted, torch.no_grad():
        none = torch.zeros(1, 5, dtype=torch.bool)
        assert torch.isfinite(prompted(input_ids=ids(5), conditioning_mask=none).logits).all()
        assert not prompted.prompts[0].seen[0].any()
