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


def test_it_begins_says_where_and_ends_at_ctrl_c(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "softprompt", "studio", str(tmp_path / "new"), "--port", "0"]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    assert child.stdout is not None
    with child.stdout as out:
        line = out.readline()
        assert line.startswith(f"studio of {tmp_path}/new: http://127.0.0.1:")
        with urllib.request.urlopen(line.split()[3]) as page:
            assert b"No run is in this folder yet" in page.read()
        child.send_signal(signal.SIGINT)
        assert child.wait(30) in (0, 130)
