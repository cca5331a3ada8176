"""Plain words in the places of virtual tokens."""

from __future__ import annotations

from softprompt.training.courses.templates import spliced

from ...shared.models import tokenizer


def test_words_in_the_places_of_a_template() -> None:
    from softprompt.tasks import Template

    def text(source: str) -> str:
        return str(spliced(Template.parse(source), [20, 21, 22], tokenizer()))

    assert text("{prompt} {text} {mask}") == "w20 w21 w22 {text} {mask}"
    assert text("{prompt}{text} {mask}") == "w20 w21 w22 {text} {mask}"
    assert text("{prompt:1} {text} {prompt:2} {mask}") == "w20 {text} w21 w22 {mask}"
