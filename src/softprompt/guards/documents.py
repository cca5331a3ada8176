"""JSON and YAML of a user, parsed within `limits`: no depth, number or alias in them costs more than they are long."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

import yaml

from softprompt.errors import SoftPromptError, quoted
from softprompt.guards import limits

if TYPE_CHECKING:
    from pydantic import JsonValue
    from yaml import SafeLoader as _Base
else:  # the parser of libyaml, where PyYAML was built with it: twenty times faster
    _Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_TAG = "tag:yaml.org,2002:"
_TEXT, _NULL, _MERGE = f"{_TAG}str", f"{_TAG}null", f"{_TAG}merge"
_GUESSED = frozenset(
    _TAG + kind for kind in ("bool", "float", "int", "null", "timestamp")
)  # from a text without quotes
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


def json_value(text: str, *, digits: int = 20) -> JsonValue:
    """A JSON value as the standard has it (RFC 8259), with nothing guessed.

    Args:
        text: of one value.
        digits: that a whole number may have at most; our own are 64-bit ones.

    Raises:
        ValueError: no JSON, a bare NaN, Infinity or 1e999 among it, a key that stands twice in one object, a whole
            number of more digits, or nested too deep to be read.
    """

    def whole(number: str) -> int:
        if len(number) > digits:
            raise ValueError(f"a number of {len(number):,} digits, at most {digits:,}; put it in quotes")
        return int(number)

    try:
        value: JsonValue = json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_finite, parse_int=whole
        )
    except RecursionError:
        raise ValueError("nested too deep") from None
    return value


def parse_json(text: str, where: str) -> JsonValue:
    """A JSON value of a user.

    Args:
        text: of one line or file.
        where: it stands, for messages.

    Raises:
        SoftPromptError: see `json_value`; or it passes a limit.
    """
    opened = text.count("[") + text.count("{")
    if opened > limits.LEVELS:
        _check_brackets(text, where)
    try:
        return json_value(text, digits=limits.DIGITS)
    except json.JSONDecodeError as error:
        raise SoftPromptError(f"{where}: not JSON ({error.msg}); write one object a line") from None
    except ValueError as error:
        raise SoftPromptError(f"{where}: {error}") from None


def parse_yaml(text: str, where: str) -> object:
    """A YAML value; nothing but plain values is ever made.

    Args:
        text: of one document.
        where: it stands, for messages.

    Raises:
        SoftPromptError: it is no YAML, a key stands twice in one mapping, or it passes a limit.
    """
    return _parsed(text, where, lambda node: None)


def parse_yaml_texts(text: str, where: str, typed: Collection[str]) -> tuple[object, dict[str, object]]:
    """A YAML mapping that holds texts: ``yes``, ``1.0``, ``012`` and ``null`` are what stands there.

    Args:
        text: of one document.
        where: it stands, for messages.
        typed: the mapping's keys whose values are read as YAML reads them. A null that is a key's whole value is one.

    Returns:
        The mapping, and for each text in it that YAML reads as something else what that would be.

    Raises:
        SoftPromptError: see `parse_yaml`.
    """
    read: dict[str, object] = {}
    return _parsed(text, where, lambda node: _write_as_texts(node, typed, read)), read


def _parsed(text: str, where: str, prepare: Callable[[yaml.Node | None], None]) -> object:
    """Compose a document, change its nodes, and make values of them; see `parse_yaml`."""
    limits.check(len(text), limits.DEFINITION, "characters", where)
    try:
        _check_events(text, where)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            prepare(node)
            return None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except (yaml.YAMLError, RecursionError) as error:
        fault = " ".join(str(error).split()).replace(' in "<unicode string>", line', " at line")
        mend = "mend it there, or put the text in quotes"
        mend = "a tab stands there: write spaces" if _at_tab(error, text) else mend
        raise SoftPromptError(f"{where}: not proper YAML: {fault}: {mend}") from None
    except SoftPromptError:
        raise
    except (ValueError, LookupError, AttributeError) as error:  # a date that is none, say, or `!!bool` of another word
        told = f" ({error})" if isinstance(error, ValueError) else ""
        raise SoftPromptError(
            f"{where}: a value that is none of its kind{told}; put it in quotes, and no tag"
        ) from None


def _at_tab(error: Exception, text: str) -> bool:
    """Whether YAML stopped at a tab, or behind one, which indents nothing there."""
    mark = getattr(error, "problem_mark", None)
    return mark is not None and "\t" in text[max(0, mark.index - 1) : mark.index + 1]


def _write_as_texts(node: yaml.Node | None, typed: Collection[str], read: dict[str, object]) -> None:
    """Tag scalars of a mapping as texts, and note what they were."""
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        if key.tag == _MERGE:
            for merged in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                _write_as_texts(merged, typed, read)
            continue
        _write_as_text(key, {}, set())  # which is a key of the schema or none
        if key.value not in typed and not (value.tag == _NULL and isinstance(value, yaml.ScalarNode)):
            _write_as_text(value, read, set())


def _write_as_text(node: yaml.Node, read: dict[str, object], seen: set[int]) -> None:
    if id(node) in seen:
        return
    seen.add(id(node))
    if not isinstance(node, yaml.ScalarNode):
        for child in node.value:
            for one in child if isinstance(child, tuple) else (child,):
                _write_as_text(one, read, seen)
    elif node.tag in _GUESSED and node.value:
        if len(node.value) <= limits.NAME:
            with suppress(ValueError, yaml.YAMLError):  # a date that is none is a text all the more
                read[node.value] = yaml.load(node.value, Loader=_Loader)  # noqa: S506  (a safe loader)
        node.tag = _TEXT


def _object(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"the key {quoted(_twice(name for name, _ in pairs))} stands twice; keep one")
    return found


def _twice(names: Iterable[str]) -> str:
    """The first name that has come before."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            break
        seen.add(name)
    return name


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"the number {quoted(number, 40)} is too large; put it in quotes")
    return value


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON; write null where there is no value")


def _check_brackets(text: str, where: str) -> None:
    """Count the lists and objects of a text that may hold many; brackets inside strings are none."""
    bare = _STRING.sub("", text)
    limits.check(bare.count("[") + bare.count("{"), limits.CONTAINERS, "lists and objects in one line", where)
    level = deepest = 0
    for match in _BRACKET.finditer(bare):
        level += 1 if match.group() in "[{" else -1
        deepest = max(deepest, level)
    limits.check(deepest, limits.LEVELS, "levels deep", where)


class _Loader(_Base):
    """The safe loader, but for numbers that would take long to read."""


def _number(loader: _Loader, node: yaml.ScalarNode) -> object:
    if len(node.value) > limits.DIGITS:
        mark = node.start_mark
        raise yaml.constructor.ConstructorError(
            None, None, f"a number of {len(node.value):,} digits, at most {limits.DIGITS:,}; put it in quotes", mark
        )
    return _READERS[node.tag](loader, node)


_READERS = {
    f"{_TAG}int": _Base.construct_yaml_int,
    f"{_TAG}float": _Base.construct_yaml_float,
}
for _tag in _READERS:
    _Loader.add_constructor(_tag, _number)


@dataclass
class _Open:
    """A list or mapping whose end has not come.

    Attributes:
        mapping: whether its children are keys and values in turn.
        anchor: its name for aliases.
        children: that came so far.
        size: values in it, whatever aliases stand for counted each time.
        keys: that a mapping has.
    """

    mapping: bool
    anchor: str | None
    children: int = 0
    size: int = 1
    keys: set[str] = field(default_factory=set)


def _check_events(text: str, where: str) -> None:
    """Walk through a document without building it: how deep it is, how large, and whether a key stands twice."""
    stack = [_Open(False, None)]
    sizes: dict[str, int] = {}

    def close(size: int, anchor: str | None) -> None:
        stack[-1].children += 1
        stack[-1].size += size
        limits.check(stack[-1].size - 1, limits.VALUES, "keys and values, with aliases followed", where)
        if anchor is not None:
            sizes[anchor] = size

    for event in yaml.parse(text, Loader=_Base):
        if isinstance(event, yaml.CollectionStartEvent):
            stack.append(_Open(isinstance(event, yaml.MappingStartEvent), event.anchor))
            if len(stack) - 1 > limits.LEVELS:
                raise SoftPromptError(f"{where}: {len(stack) - 1:,} levels deep or more, at most {limits.LEVELS:,}")
        elif isinstance(event, yaml.CollectionEndEvent):
            done = stack.pop()
            close(done.size, done.anchor)
        elif isinstance(event, yaml.ScalarEvent):
            _check_key(stack[-1], event, where)
            close(1, event.anchor)
        elif isinstance(event, yaml.AliasEvent):
            if any(one.anchor == event.anchor for one in stack):
                raise SoftPromptError(
                    f"{where}, line {_line(event)}: *{event.anchor} stands inside itself; write it out"
                )
            close(sizes.get(str(event.anchor), 1), None)  # an unknown one is the loader's to tell


def _check_key(parent: _Open, event: yaml.ScalarEvent, where: str) -> None:
    if not parent.mapping or parent.children % 2:
        return
    line = f"{where}, line {_line(event)}"
    limits.check(len(event.value), limits.NAME, "characters in one key", line)
    if event.value in parent.keys and event.value != "<<":
        raise SoftPromptError(f"{line}: the key {quoted(event.value)} stands twice; keep one")
    parent.keys.add(event.value)


def _line(event: yaml.Event) -> int:
    return 1 + (event.start_mark.line if event.start_mark is not None else 0)
