from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softprompt.errors import SoftPromptError
from softprompt.tasks.text.template import Field, Literal, Mask, PromptSlot, Sep, Template, Text

literals = st.text(max_size=8).map(lambda text: text.replace("{", "{{").replace("}", "}}"))
names = st.sampled_from(["text", "premise", "a1", "_b"])
forms = st.sampled_from(["", ":stem", ":lower"])
places = st.one_of(
    st.tuples(names, forms).map(lambda pair: "{" + pair[0] + pair[1] + "}"),
    st.integers(1, 99).map(lambda count: f"{{prompt:{count}}}"),
    st.just("{sep}"),
)
templates = st.tuples(st.lists(st.one_of(literals, places), max_size=8), st.sampled_from(["", "{mask}"])).map(
    lambda pair: "".join(pair[0]) + pair[1]
)


@given(templates)
def test_a_template_gives_its_source_back(source: str) -> None:
    assert str(Template.parse(source)) == source


@given(st.text(max_size=30))
def test_any_text_is_a_template_once_its_braces_are_doubled(text: str) -> None:
    segments = Template.parse(text.replace("{", "{{").replace("}", "}}")).render({})
    assert "".join(segment.text for segment in segments if isinstance(segment, Text)) == text


@given(st.text(alphabet="ab{}:5 promtask", max_size=12))
def test_a_source_parses_or_is_refused_in_one_line(source: str) -> None:
    try:
        parsed = str(Template.parse(source))
    except SoftPromptError as error:
        parsed = source if "\n" not in str(error) else ""
    assert parsed == source


@given(templates, st.dictionaries(names, st.text(max_size=10)))
def test_spans_hold_what_the_fields_gave(source: str, given_fields: dict[str, str]) -> None:
    fields = {name: given_fields.get(name, "x") for name in ("text", "premise", "a1", "_b")}
    template = Template.parse(source)
    shown = [
        segment.text[span.start : span.end]
        for segment in template.render(fields)
        if isinstance(segment, Text)
        for span in segment.spans
    ]
    wanted = [part.apply(fields[part.name]) for part in template.parts if isinstance(part, Field)]
    # A field of no text next to no other text has no segment to stand in.
    assert [text for text in shown if text] == [text for text in wanted if text]


def test_parts() -> None:
    template = Template.parse("{prompt:3}A {{b}} {premise}{sep}{hypothesis:lower} {prompt:2}? {mask}.")
    assert template.parts == (
        PromptSlot(3),
        Literal("A {b} "),
        Field("premise"),
        Sep(),
        Field("hypothesis", "lower"),
        Literal(" "),
        PromptSlot(2),
        Literal("? "),
        Mask(),
        Literal("."),
    )
    assert template.fields == ("premise", "hypothesis")
    assert template.slots == (PromptSlot(3), PromptSlot(2))


def test_the_space_before_the_mask_goes_with_the_answer() -> None:
    assert Template.parse("{a} It was {mask}").render({"a": "Good."})[-2:] == (
        Text("Good. It was", Template.parse("{a}").render({"a": "Good."})[0].spans),  # type: ignore[union-attr]
        Mask(space=True),
    )
    assert Template.parse("{a}\n{mask}").render({"a": "b"})[-1] == Mask(space=False)


def test_a_space_that_ends_a_field_is_the_fields_own() -> None:
    text, mask = Template.parse("{a}{mask}").render({"a": "b "})
    assert isinstance(text, Text)
    assert text.text == "b "
    assert mask == Mask(space=False)


@pytest.mark.parametrize(
    ("form", "text", "shown"),
    [
        ("stem", "He left.", "He left"),
        ("stem", "Did he ? ", "Did he"),
        ("stem", "No", "No"),
        ("lower", "The sun", "the sun"),
        ("lower", "I left", "I left"),
        ("lower", "It rains", "it rains"),
        ("lower", "", ""),
    ],
)
def test_forms(form: str, text: str, shown: str) -> None:
    segments = Template.parse("{t:" + form + "}").render({"t": text})
    assert "".join(segment.text for segment in segments if isinstance(segment, Text)) == shown


def test_sep_becomes_text_where_it_is_given() -> None:
    template = Template.parse("{a}{sep}{b}")
    assert [type(segment) for segment in template.render({"a": "x", "b": "y"})] == [Text, Sep, Text]
    (only,) = template.render({"a": "x", "b": "y"}, sep="\n")
    assert isinstance(only, Text)
    assert only.text == "x\ny"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("{text", "lone '{'"),
        ("text}", "lone '}'"),
        ("{}", "no field name"),
        ("{a b}", "no field name"),
        ("{prompt:0}", "at least 1"),
        ("{prompt:x}", "at least 1"),
        ("{mask} {mask}", "stands twice"),
        ("{prompt} a {prompt:2}", "must stand alone"),
        ("{mask:1}", "nothing after a colon"),
        ("{text:upper}", "no form 'upper'"),
        ("{review}", "names the field 'review', which the task has not; it has 'text'"),
    ],
)
def test_faults_name_the_template(source: str, told: str) -> None:
    with pytest.raises(SoftPromptError) as caught:
        Template.parse(source, known=["text"])
    assert told in str(caught.value)
    assert repr(source) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_absent_field_of_a_row_is_told() -> None:
    with pytest.raises(SoftPromptError, match="names the field 'b'; the row has 'a'"):
        Template.parse("{b}").render({"a": "x"})


def test_a_choice_that_is_not_given_is_told() -> None:
    with pytest.raises(SoftPromptError, match="no choices"):
        Template.parse("{a} {choice}").render({"a": "x"})


@pytest.mark.parametrize(
    ("source", "space"),
    [("{text} {mask}", True), ("{text}{mask}", False), ("It was {mask}.", True), ("{text}\n{mask}", False),
     ("{text}", False), ("{text} {sep} {mask} {choice}", True)],
)  # fmt: skip
def test_a_template_says_whether_a_space_stands_before_its_answer(source: str, space: bool) -> None:
    assert Template.parse(source).space_before_answer is space


def test_the_form_plain_leaves_out_multircs_marks() -> None:
    """As T5 prepares the task: a break is a space, and what is bold is text."""
    shown = Template.parse("paragraph: {text:plain}").render({"text": "<b>Sent 1: </b>Ann left.<br><b>Sent 2: </b>So?"})
    assert [segment.text for segment in shown] == ["paragraph: Sent 1: Ann left. Sent 2: So?"]  # type: ignore[union-attr]
