"""Nothing that a user named is read as markup, and a message stays one line, whatever it quotes."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt.errors import shown
from softprompt.progress import Progress

from ..shared.commands import Bench, ask, bench
from .markup import HOSTILE, PATHS, commands, hostile_bench, judge, obeyed, terminal


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return bench(tmp_path_factory.mktemp("bench"))


# All hostile names that can stand beside each other in one.
ALL = "[red]it[/red][/][bold\\[x]\\ :smile: \x1b[2J\x07\x9b\r\nerror: {0} \u2028\u202e<b>&amp;`**"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_every_verb_with_hostile_names(encoding: str, made: Bench, tmp_path: Path) -> None:
    bad = hostile_bench(tmp_path, ALL, ALL.replace("/", "_"))
    for verb, words in commands(bad, made.backbone, ALL).items():
        told = ask(*words, encoding=encoding)
        fails = verb.startswith(("no such", "too many", "predict field")) or verb == "train again"
        assert not judge(verb, told, fails), verb
        if verb in ("evaluate", "train") and encoding == "utf-8":
            printed = "".join((told.out + told.err).split())
            assert "[red]it[/red][/][bold\\[x]\\:smile:\\x1b[2J\\x07\\x9b\\r\\nerror:{0}\\u2028" in printed


@pytest.mark.parametrize("kind", list(HOSTILE))
def test_bars_and_lines_on_a_terminal(kind: str) -> None:
    name = HOSTILE[kind]
    with terminal() as stream:
        show = Progress()
        show.say(name)
        with show.work(name, 2, "rows") as tick:
            tick(1, note=name)
            tick(1)
        drawn = stream.getvalue()
    assert drawn.count(shown(name)) >= 3
    assert "\x1b[2J" not in drawn
    assert "\x07" not in drawn
    assert [one for one in obeyed(drawn) if one not in "\x1b\r"] == []


@pytest.mark.parametrize("kind", list(HOSTILE))
def test_tables_on_a_terminal(kind: str) -> None:
    from softprompt.cli.common import table

    name = HOSTILE[kind]
    with terminal() as stream:
        table(name, [name, "b"], [[name, name]])
    assert stream.getvalue().count(shown(name)[:12]) == 4


def test_a_folder_whose_name_is_no_unicode_is_refused(made: Bench, tmp_path: Path) -> None:
    told = ask(*made.train(tmp_path / PATHS["no Unicode"]))
    assert told.refused
    assert "no Unicode" in told.err
    assert ask("predict", tmp_path / PATHS["no Unicode"], "w20").refused
    assert ask("predict", made.run, PATHS["no Unicode"]).refused
