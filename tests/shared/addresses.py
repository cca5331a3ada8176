"""Addresses of this machine that it may lack."""

from __future__ import annotations

import socket

import pytest

from softprompt.serving.listening import host_of


def having(host: str) -> str:
    """A host, or a skip where this machine has no such address, as one without IPv6."""
    own = host_of(host)
    if ":" in own:
        try:
            socket.create_server((own, 0), family=socket.AF_INET6).close()
        except OSError as error:
            pytest.skip(f"{own}: {error}")
    return host
