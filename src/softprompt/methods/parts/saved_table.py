"""A prompt that starts from the table of a stored one."""

from __future__ import annotations

from torch import Tensor

from softprompt.errors import SoftPromptError
from softprompt.files.forms import TensorForm, read_forms
from softprompt.files.places import TENSORS, folder_of, refuse_peft
from softprompt.files.tensors import read_tensors
from softprompt.files.written import check_written
from softprompt.methods.base import BuildContext


def saved(path: str, count: int, context: BuildContext) -> Tensor:
    """The first `stream` table of a saved prompt, given its folder or its run's: `(count, E)`.

    Raises:
        SoftPromptError: no such prompt, or a table of another shape.
    """
    refuse_peft(folder_of(path))
    file = folder_of(path) / TENSORS
    form, wanted = read_forms(file).get("table"), (count, context.anatomy.embedding_size)
    if form != TensorForm(("F32",), wanted):
        found = "no table" if form is None else f"a table of shape {form.shape} and type {form.dtypes[0]}"
        raise SoftPromptError(f"{path}: {found}, but one of shape {wanted} and type F32 is needed to start from it")
    check_written(file.parent)
    return read_tensors(file)["table"]
