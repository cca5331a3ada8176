"""`save_pretrained` and `push_to_hub` of an attached model: what is written is the prompt, and the backbone is not.

How a prompt is written is for the room of prompt folders to say, which stands above this one: it registers a writer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar, TypeVar

from huggingface_hub import HfApi
from torch import Tensor

from softprompt.attached.calling import Calling
from softprompt.errors import SoftPromptError, quoted
from softprompt.guards.paths import folder_for

_S = TypeVar("_S", bound="Saving")
_OF_WEIGHTS = {"save_function", "safe_serialization", "max_shard_size"}


class Saving(Calling):
    """An attached model whose prompts can be written.

    Attributes:
        sources: what each prompt was attached from, a method or a loaded prompt, by the prompt's name; a bare producer
            has none.
        was_trained: whether it has been in training mode, so that a loaded prompt is no more what it was loaded as.
    """

    sources: dict[str, object]
    was_trained: bool
    _write: ClassVar[Callable[[Saving, Path], None] | None] = None

    @classmethod
    def written_by(cls, write: Callable[[Saving, Path], None]) -> Callable[[Saving, Path], None]:
        """Decorator: register the function that writes the prompts of an attached model to a folder."""
        cls._write = staticmethod(write)
        return write

    def train(self: _S, mode: bool = True) -> _S:
        """See `Wrapper.train`."""
        super().train(mode)
        self.was_trained = getattr(self, "was_trained", False) or mode
        return self

    def save_pretrained(
        self,
        save_directory: str | Path,
        is_main_process: bool = True,
        state_dict: Mapping[str, Tensor] | None = None,
        **of_weights: object,
    ) -> None:
        """Write the attached prompt as a folder that `softprompt.load` reads; of several each to a folder of its name.

        The backbone is not written. A loaded prompt keeps its task and its readout; what it was measured at counts no
        more, and is not written, once this model has been in training mode.

        Args:
            save_directory: a folder, new or with an earlier prompt.
            is_main_process: whether this process writes; of several that train together one does.
            state_dict: values to write in the place of the prompt's own, as `state_dict` gives them.
            **of_weights: what trainers say of a model's weights besides (`save_function`, `safe_serialization`,
                `max_shard_size`), which a prompt's one file of safetensors makes no use of.

        Raises:
            SoftPromptError: the folder cannot be written or holds something else, nothing is attached, a prompt was
                attached as a bare producer, whose method nobody knows, or another option is given.

        Example:
            >>> with sp.attach(model, tokenizer, sp.PromptTuning(num_virtual_tokens=2)) as prompted:
            ...     prompted.save_pretrained("mine")
            >>> sp.load("mine", model, tokenizer).method.name
            'prompt_tuning'
        """
        folder = folder_for(save_directory, "save_directory")
        write = type(self)._write
        if write is None:
            raise SoftPromptError("save_pretrained: nothing knows how prompts are written: use softprompt.attach")
        other = next((name for name in of_weights if name not in _OF_WEIGHTS), None)
        if other is not None:
            also = ": call prompted.push_to_hub(NAME)" if other == "push_to_hub" else ": leave it out"
            raise SoftPromptError(f"save_pretrained has no option {other!r}{also}")
        if not is_main_process:
            return
        with self._having(state_dict):
            write(self, folder)

    @contextmanager
    def _having(self, state: Mapping[str, Tensor] | None) -> Iterator[None]:
        """Let the prompts have other values during the block."""
        if state is None:
            yield
            return
        own = {name: value.detach().clone() for name, value in self.state_dict().items()}
        try:
            self.load_state_dict(state)
            yield
        except RuntimeError as error:
            told = " ".join(str(error).split())
            raise SoftPromptError(f"save_pretrained: state_dict is not this prompt's: {told}") from None
        finally:
            self.load_state_dict(own)

    def push_to_hub(
        self, repo_id: str, *, private: bool | None = None, token: str | None = None, commit_message: str | None = None
    ) -> str:
        """Write the attached prompt, as `save_pretrained` does, and upload it to a repository of the hub.

        Args:
            repo_id: of the repository, which is made where there is none.
            private: whether a new one is private; by default what the account says.
            token: of the account; by default the one that is logged in.
            commit_message: of the upload.

        Returns:
            Where it is.

        Raises:
            SoftPromptError: see `save_pretrained`; or the hub refuses, or cannot be reached.
        """
        with TemporaryDirectory() as place:
            folder = Path(place) / "prompt"
            self.save_pretrained(folder)
            return upload(
                folder, repo_id, private=private, token=token, commit_message=commit_message, caller="push_to_hub"
            )


def upload(
    folder: Path, repo_id: str, *, private: bool | None, token: str | None, commit_message: str | None, caller: str
) -> str:
    """Upload a folder to a repository of the hub.

    Args:
        folder: all of which is sent.
        repo_id: see `Saving.push_to_hub`.
        private: likewise.
        token: likewise.
        commit_message: likewise.
        caller: for the message.

    Returns:
        Where it is.

    Raises:
        SoftPromptError: the hub refuses, or cannot be reached.
    """
    hub = HfApi(token=token)
    try:
        made = hub.create_repo(repo_id, private=private, exist_ok=True)
        hub.upload_folder(repo_id=made.repo_id, folder_path=folder, commit_message=commit_message)
    except Exception as error:  # its client has no one name for a refusal, a bad name and no network
        told = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise SoftPromptError(f"{caller} {quoted(repo_id)}: the hub says: {told}") from None
    return str(made)
