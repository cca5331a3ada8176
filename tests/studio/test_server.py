"""The process: where it listens, what it says, and that nothing is left at work when it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.studio.server import opened

from ..shared.addresses import having


def test_a_taken_port_is_passed_over_and_one_that_was_asked_for_is_told() -> None:
    with opened("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(SoftPromptError, match=f"--port {port}: cannot listen there"):
            opened("127.0.0.1", port)
    with opened("127.0.0.1", None) as one, opened("127.0.0.1", None) as other:
        assert one.getsockname()[1] != other.getsockname()[1]
        assert isinstance(one, socket.socket)
    with pytest.raises(SoftPromptError, match="cannot listen there"):
        opened("192.0.2.1", None)  # an address of examples
    with pytest.raises(SoftPromptError, match=r"cannot listen there \(no such name\)"):
        opened("a" * 64, 0)


@pytest.mark.parametrize(("number", "host", "shown"), [
    (signal.SIGINT, "127.0.0.1", "127.0.0.1"), (signal.SIGTERM, "[::1]", "[::1]"), (signal.SIGINT, "::1", "[::1]"),
    (signal.SIGTERM, "localhost", "localhost"),
])  # fmt: skip
def test_it_begins_says_where_and_leaves_nothing_when_it_is_told_to_end(
    number: int, host: str, shown: str, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    words = [sys.executable, "-m", "softprompt", "studio", str(tmp_path / "new"), "--port", "0", "--host", having(host)]
    own = {**os.environ, "PYTHONUNBUFFERED": "1", "TMPDIR": str(scratch)}
    child = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=own)
    assert child.stdout is not None
    with child.stdout as out:
        line = out.readline()
        assert line.startswith(f"studio of {tmp_path}/new: http://{shown}:")
        assert line.split()[3].endswith("/")
        with urllib.request.urlopen(line.split()[3]) as page:
            assert b"No run is in this folder yet" in page.read()
        assert len(list(scratch.glob("softprompt-studio-*"))) == 1
        child.send_signal(number)
        assert child.wait(30) in (0, 130)
    assert list(scratch.glob("softprompt-studio-*")) == []
