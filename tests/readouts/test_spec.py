"""What was chosen of a readout is one value, from the training to the prompt's file."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from softprompt.backbones.fingerprint import fingerprint
from softprompt.errors import SoftPromptError
from softprompt.methods import method as method_of
from softprompt.methods.registry import checked
from softprompt.readouts import ReadoutSpec
from softprompt.readouts.registry import READOUTS
from softprompt.storage.prompt import Prompt
from softprompt.storage.record import PromptRecord
from softprompt.tasks import Task
from softprompt.training.options import TrainingOptions
from softprompt.training.setup import readout_spec

from ..shared.models import model, tokenizer
from ..shared.prompts import producer

TASK = Task(template="{text} {mask}", labels=["w10", "w11"])


def test_a_training_says_every_part_of_it() -> None:
    options = TrainingOptions(loss="labels", pooling="first", max_length=9, max_new_tokens=3, sentinel_targets=True)
    spec = readout_spec(model("t5"), TASK, method_of("prompt_tuning"), options)
    assert spec.name == "text"
    assert spec.model_dump(exclude={"name"}) == {
        name: getattr(options, name) for name in spec.model_dump(exclude={"name"})
    }


@pytest.mark.parametrize("field", ["max_length", "max_new_tokens"])
def test_what_no_file_could_hold_is_refused_before_a_training(field: str) -> None:
    options = TrainingOptions.model_validate({field: 1 << 25})
    with pytest.raises(SoftPromptError, match=rf"option '{field}' of training: .*less than or equal to"):
        readout_spec(model("gemma3"), TASK, method_of("prompt_tuning"), options)


def test_it_is_read_as_it_was_written_and_nothing_else() -> None:
    spec = ReadoutSpec(name="rows", loss="auto", pooling="mean", max_length=40, max_new_tokens=4)
    assert PromptRecord.model_fields["readout"].annotation == ReadoutSpec | None
    assert ReadoutSpec.model_validate_json(spec.model_dump_json()) == spec
    for wrong in ({"name": "speech"}, {"max_length": "40"}, {"more": 1}, {"loss": None}):
        with pytest.raises(ValidationError):
            ReadoutSpec.model_validate({**spec.model_dump(), **wrong})


def test_what_is_cut_is_written_only_where_it_is_not_the_end() -> None:
    """Files and identities of before this option stay what they are."""
    values = {"name": "text", "loss": "auto", "pooling": "auto", "max_length": 9, "max_new_tokens": 2}
    assert "truncation" not in ReadoutSpec(**values).model_dump(mode="json")
    assert "truncation" not in TrainingOptions().model_dump(mode="json")
    spec = ReadoutSpec(**values, truncation="middle")
    assert ReadoutSpec.model_validate_json(spec.model_dump_json()) == spec
    assert TrainingOptions(truncation="middle").model_dump()["truncation"] == "middle"


def test_there_is_one_list_of_names() -> None:
    assert list(READOUTS.all(installed=False)) == ["head", "mask", "rows", "text"]
    said = "no readout named 'eyes': choose from head, mask, rows, text, or install the package that brings it"
    with pytest.raises(SoftPromptError, match=rf"option 'readout' of training: {said}"):
        checked(TrainingOptions, {"readout": "eyes"}, "training")
    with pytest.raises(ValidationError, match=said):
        ReadoutSpec(name="eyes", loss="auto", pooling="mean", max_length=40, max_new_tokens=4)


def test_the_old_name_on_a_prompt_still_answers() -> None:
    backbone = model("gemma3")
    spec = ReadoutSpec(name="text", loss="auto", pooling="auto", max_length=9, max_new_tokens=2)
    made, known = producer(backbone, "prompt_tuning"), fingerprint(backbone)
    for given in (spec, None):
        prompt = Prompt(method_of("prompt_tuning"), made, TASK, None, given, known, backbone, tokenizer())
        with pytest.warns(DeprecationWarning, match="readout_spec"):
            assert prompt.readout_options == ({} if given is None else given.model_dump())


def test_a_prompt_still_takes_the_old_form() -> None:
    backbone = model("gemma3")
    spec = ReadoutSpec(name="text", loss="auto", pooling="auto", max_length=9, max_new_tokens=2)
    made, known = producer(backbone, "prompt_tuning"), fingerprint(backbone)
    for given, expected in ((spec.model_dump(), spec), ({}, None)):
        with pytest.warns(DeprecationWarning, match="readout_spec"):
            prompt = Prompt(method_of("prompt_tuning"), made, TASK, None, given, known, backbone, tokenizer())  # type: ignore[arg-type]
        assert prompt.readout_spec == expected
    with pytest.warns(DeprecationWarning, match="readout_spec"), pytest.raises(SoftPromptError, match="of Prompt"):
        Prompt(method_of("prompt_tuning"), made, TASK, None, {"name": "text"}, known, backbone, tokenizer())  # type: ignore[arg-type]
