"""Prompts of the hub: `hf://OWNER/NAME`, with `@REVISION` and the folder of one of several prompts behind it.

What follows a slash behind the revision is the folder, but in the hub's own `@refs/pr/NUMBER` and
`@refs/convert/NAME`; a slash in the name of a branch is written `%2F`, as in addresses of the hub.

Fetched are the files of a prompt folder and those of a PEFT checkpoint, by their names, and nothing else: no code, no
pickle, no weights of a backbone. They lie in the hub's own cache, and are read as any folder is.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from softprompt.errors import SoftPromptError, quoted
from softprompt.files.manifest import MANIFEST
from softprompt.files.places import ADAPTER, ADAPTER_WEIGHTS, CARD, META, TENSORS

_SEEN = "rows.safetensors"
_FILES = (TENSORS, META, CARD, _SEEN, MANIFEST, ADAPTER, ADAPTER_WEIGHTS)
_ON_HUB = re.compile(r"hf:/{1,2}")  # of a Path one of the slashes is left
_REVISION = r"refs/(?:pr/[0-9]+|convert/[\w.-]+)|(?!refs(?:/|$))[\w.-]+(?:%2[Ff][\w.-]+)*"
_NAME = re.compile(rf"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>{_REVISION}))?(?P<inside>(/[\w.-]+)*)/?")


def at_hand(given: str | Path) -> str | Path:
    """A folder as it was given, or the fetched copy of one on the hub.

    Args:
        given: by the user: a path, or `hf://OWNER/NAME`.

    Raises:
        SoftPromptError: no such repository or revision, it is gated, there is no prompt in it, or the hub cannot be
            reached.
    """
    text = os.fspath(given) if isinstance(given, str | Path) else ""
    begun = _ON_HUB.match(text)
    if begun is None:
        return given
    found = _NAME.fullmatch(text[begun.end() :])
    if found is None or ".." in PurePosixPath(text).parts or ".." in (found["revision"] or ""):
        behind = " (behind @ one as main, refs/pr/3 or a%2Fbranch)" if "@" in text else ""
        raise SoftPromptError(f"{quoted(text)} names no prompt of the hub: write hf://OWNER/NAME{behind}")
    inside, revision = found["inside"].strip("/"), found["revision"] and unquote(found["revision"])
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    wanted = [f"{inside}/{name}" if inside else name for name in _FILES]
    try:
        copy = HfApi().snapshot_download(found["repo"], revision=revision, allow_patterns=wanted)
    except GatedRepoError:
        raise SoftPromptError(
            f"{text} is gated: accept its terms on its page, and log in with `hf auth login`"
        ) from None
    except RepositoryNotFoundError:
        raise SoftPromptError(f"{text}: no such repository: check the name, or log in if it is private") from None
    except RevisionNotFoundError:
        told = f"{text}: the repository has no revision {quoted(revision)}"
        raise SoftPromptError(f"{told}: check its name, in which a slash is written %2F") from None
    except Exception as error:  # its client has no one name for a bad name, a lost answer and no network
        told = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise SoftPromptError(f"{text} cannot be fetched ({told.rstrip('. :')}): check name and network") from None
    folder = Path(str(copy)) / inside
    if not any((folder / name).is_file() for name in (META, ADAPTER)):
        raise SoftPromptError(f"{text} holds no prompt: it has neither {META} nor {ADAPTER} there")
    return folder
