"""Who may ask: this machine under its own names, and for what changes something the studio's own pages alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from starlette.datastructures import Headers

from softprompt.studio.app import application
from softprompt.studio.guarding import MOST, Guarded
from softprompt.studio.state import Studio

from ..shared.studios import asked


async def nobody(*_: object) -> None:
    raise AssertionError


def refused(method: str, host: str, guard: Guarded | None = None, **headers: str) -> bool:
    own = {"host": host, **({"content-length": "1"} if method == "POST" else {})}
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return (guard or Guarded(nobody)).refusal(method, Headers({**own, **sent})) is not None


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "[::1]:8765", "LOCALHOST"])
def test_this_machine_may_look(host: str) -> None:
    assert not refused("GET", host)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "192.168.0.7:8765", "", "[", "localhost.x"])
def test_a_name_that_was_made_to_mean_this_machine_may_not(host: str) -> None:
    assert refused("GET", host)
    assert refused("POST", host, origin=f"http://{host}")


def test_only_its_own_pages_change_anything() -> None:
    here = "127.0.0.1:8765"
    assert not refused("POST", here, origin=f"http://{here}")
    assert not refused("POST", here)  # no browser: a program of this machine
    assert not refused("POST", here, sec_fetch_site="same-origin")
    for origin in ("http://evil.example", "null", "http://127.0.0.1:80", f"http://{here}.evil.example"):
        assert refused("POST", here, origin=origin)
    assert refused("POST", here, sec_fetch_site="cross-site")
    assert refused("DELETE", here, origin="http://evil.example")


def test_beyond_loopback_numbers_and_its_own_name_are_this_machine() -> None:
    guard = Guarded(nobody, ["Box.local"], open_to_others=True)
    assert not refused("GET", "192.168.0.7:8765", guard)
    assert not refused("GET", "box.local:8765", guard)
    assert refused("GET", "evil.example", guard)


def test_where_there_is_a_token_nothing_is_told_without_it(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    right = "t0ken-of-the-studio:1"  # a colon ends the name, not the password
    with TestClient(application(studio, token=right), base_url="http://127.0.0.1:1") as client:
        for sent in (None, ("any", "wrong"), ("any", ""), (right, "")):
            found = client.get("/", auth=sent)
            assert (found.status_code, found.headers["www-authenticate"].split()[0]) == (401, "Basic")
            assert str(tmp_path) not in found.text
        for header in (f"Bearer {right}", "Basic", "Basic \xfc", "Basic !"):
            assert (
                client.get("/static/studio.css", headers={"authorization": header.encode("latin-1")}).status_code == 401
            )
        assert client.get("/", auth=("any", right)).status_code == 200
        assert client.get("/", auth=("any", right), headers={"host": "evil.example"}).status_code == 403
    studio.end()


def test_every_answer_has_the_policy_and_a_report_has_none_of_the_studio_s_rights(tmp_path: Path) -> None:
    with asked(tmp_path) as (_, client):
        found = client.get("/").headers
        assert "default-src 'none'" in found["content-security-policy"]
        assert "http" not in found["content-security-policy"].replace("https", "http").split("script-src")[0]
        assert found["x-content-type-options"] == "nosniff"
        assert client.get("/", headers={"host": "evil.example"}).status_code == 403
        too_much = client.build_request("POST", "/train", headers={"content-length": str(MOST + 1)})
        assert client.send(too_much).status_code == 413
