"""`push`: a prompt folder as a repository of the hub, whose card has results and a licence as the hub reads them."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import EvalResult, HfApi, ModelCard

from softprompt.attached.saving import upload
from softprompt.backbones.embedded import LICENCES
from softprompt.carrying.named import base_name
from softprompt.files.places import CARD
from softprompt.guards.kinds import check_kind
from softprompt.storage.card import base_model
from softprompt.storage.prompt import Prompt, record_of, save

_KINDS = {"classification": "text-classification", "generation": "text-generation", "choice": "multiple-choice"}


def push(
    prompt: Prompt,
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | None = None,
    commit_message: str | None = None,
    licence: str | None = None,
) -> str:
    """Write a prompt as a folder and upload it to a repository of the hub; the backbone stays where it is.

    The card's header has the test metrics, as the hub lists them, and a licence.

    Args:
        prompt: of a run, or loaded.
        repo_id: `OWNER/NAME`; it is made where there is none.
        private: whether a new one is private; by default what the account says.
        token: of the account; by default the one that is logged in.
        commit_message: of the upload.
        licence: of the prompt, as the hub calls it (`apache-2.0`); by default the backbone's own, where that is known.

    Returns:
        Where it is.

    Raises:
        SoftPromptError: `meta` holds what a prompt folder cannot, or the hub refuses or cannot be reached.
    """
    check_kind("push", "prompt", prompt, Prompt)
    with TemporaryDirectory() as place:
        folder = save(prompt, Path(place) / "prompt")
        card = ModelCard.load(folder / CARD)
        card.data.license = licence or backbone_licence(prompt, token)
        results = _results(prompt, repo_id)
        if results:
            card.data.model_name, card.data.eval_results = repo_id.rsplit("/", 1)[-1], results
        card.save(folder / CARD)
        return upload(folder, repo_id, private=private, token=token, commit_message=commit_message, caller="push")


def backbone_licence(prompt: Prompt, token: str | None = None) -> str | None:
    """What the hub says of the backbone's licence; None where it is not there, says nothing or cannot be asked."""
    name = record_of(prompt).backbone_name
    if name in LICENCES or not base_model(name):
        return LICENCES.get(name or "")
    try:
        data = HfApi(token=token).model_info(str(base_name(prompt))).card_data
    except Exception:  # a card without a licence is no reason not to push
        return None
    found = None if data is None else data.get("license")
    return found if isinstance(found, str) else None


def _results(prompt: Prompt, repo_id: str) -> list[EvalResult]:
    """Of each metric of the task what the prompt was measured at."""
    task, measured = prompt.task, record_of(prompt).metrics
    if task is None:
        return []
    kind = _KINDS.get(str(task.kind), str(task.kind))
    values = {name: measured.value(name) for name in task.metrics}
    return [
        EvalResult(
            task_type=kind,
            dataset_type=task.name,
            dataset_name=task.name,
            dataset_split="test",
            metric_type=name,
            metric_value=value,
        )
        for name, value in values.items()
        if value is not None
    ]
