"""Who may reach a server, and where it listens; how it stops is asked of those that listen so."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.serving.listening import check_open, host_of, is_loopback, listen, token_of, url_of


def test_off_this_machine_a_token_is_needed() -> None:
    for host in ("127.0.0.1", "localhost", "LOCALHOST", "::1", "[::1]", "0:0::1", "127.8.9.10"):
        assert is_loopback(host)
        check_open(host, None)
    for host in ("0.0.0.0", "::", "[::]", "[[::1]]", "[::1", "fe80::1%lo", "192.168.1.4", "example.org", ""):
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


@pytest.mark.parametrize(("given", "host", "url"), [
    ("[::1]", "::1", "http://[::1]:8000/"), ("::1", "::1", "http://[::1]:8000/"),
    ("localhost", "localhost", "http://localhost:8000/"), ("127.0.0.1", "127.0.0.1", "http://127.0.0.1:8000/"),
    ("[fe80::1%eth0]", "fe80::1%eth0", "http://[fe80::1%25eth0]:8000/"), ("[no]", "[no]", "http://[no]:8000/"),
])  # fmt: skip
def test_an_address_has_brackets_in_the_web_alone(given: str, host: str, url: str) -> None:
    assert host_of(given) == host
    assert url_of(host, 8000) == url
