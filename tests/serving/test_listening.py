"""Who may reach a server, and where it listens; how it stops is asked of those that listen so."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.serving.listening import check_open, is_loopback, listen, token_of


def test_off_this_machine_a_token_is_needed() -> None:
    for host in ("127.0.0.1", "localhost", "::1", "[::1]", "127.8.9.10"):
        assert is_loopback(host)
        check_open(host, None)
    for host in ("0.0.0.0", "::", "192.168.1.4", "example.org", ""):
        assert not is_loopback(host)
        with pytest.raises(SoftPromptError, match="there is no token: give --token-file"):
            check_open(host, None)
        check_open(host, "x" * 20)


def test_a_token_is_read_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text("abcdefghijklmnop\n")
    assert token_of(file) == "abcdefghijklmnop"
    for bad in ("", "short", "abcdefgh ijklmnop", "abcdefghijklmnöp"):
        file.write_text(bad)
        with pytest.raises(SoftPromptError, match="no token of at least 16"):
            token_of(file)
    assert token_of(None) is None
    monkeypatch.setenv("SOFTPROMPT_TOKEN", "x" * 16)
    assert token_of(None) == "x" * 16


def test_a_port_that_is_taken_is_told() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(SoftPromptError, match="cannot be listened at"):
        listen("127.0.0.1", taken.getsockname()[1])
