"""The studio's pages as a program asks for them: whole or in parts, and every fault in a line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi.testclient import TestClient

from softprompt.files.places import REPORT
from softprompt.studio.guarding import FOREIGN
from softprompt.studio.state import Studio, address

from ..shared.run_folders import cell
from ..shared.studios import HISTORY, asked, at_once, going, tickets, trained

PART = {"hx-request": "true"}
EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("pages"))


@pytest.fixture
def opened(runs: Path) -> Iterator[tuple[Studio, TestClient]]:
    with asked(runs) as (studio, client):
        at_once(studio.jobs)
        yield studio, client


@pytest.fixture
def small(tmp_path: Path) -> Iterator[tuple[Path, Studio, TestClient]]:
    with asked(tmp_path) as (studio, client):
        yield tmp_path, studio, client


def test_an_empty_folder_says_how_to_begin(small: tuple[Path, Studio, TestClient]) -> None:
    page = small[2].get("/").text
    assert "No run is in this folder yet" in page
    assert "No finished run" in small[2].get("/ask").text


def test_runs_appear_and_a_page_that_shows_them_gets_nothing(small: tuple[Path, Studio, TestClient]) -> None:
    folder, _, client = small
    cell(folder / "one", "capt", history=HISTORY)
    part = client.get("/", headers=PART)
    assert part.text.lstrip().startswith('<div id="runs"')
    seen = re.search(r'"seen": "(\w+)"', part.text)
    assert seen is not None
    assert client.get("/", params={"seen": seen[1]}, headers=PART).status_code == 204
    going(folder / "two", HISTORY, 9)
    assert ">two<" in client.get("/", params={"seen": seen[1]}, headers=PART).text
    assert ">two<" not in client.get("/", params={"find": "one"}).text


def test_what_stands_in_files_is_text(small: tuple[Path, Studio, TestClient]) -> None:
    folder, _, client = small
    cell(folder / "a b&c'd", EVIL, task=EVIL, backbone=EVIL, history=HISTORY)
    (folder / "broken").mkdir()
    (folder / "broken" / "run.json").write_text(EVIL)
    for page in ("/", address("/run", name="a b&c'd"), "/ask", address("/", find=EVIL), address("/run", name=EVIL)):
        assert EVIL not in client.get(page).text
        assert "a b&amp;c&#39;d" in client.get("/").text
    for part in (folder.as_posix().encode() + b"/\xff",):
        Path(part.decode("utf-8", "surrogateescape")).mkdir()
        (Path(part.decode("utf-8", "surrogateescape")) / "run.json").write_text("{}")
    assert client.get("/").status_code == 200


def test_a_page_that_nothing_has_written_is_told(small: tuple[Path, Studio, TestClient]) -> None:
    folder, _, client = small
    cell(folder / "one", "capt", history=HISTORY)
    for address_of_it in ("/report/page?name=one", "/compare/page?key=0123"):
        found = client.get(address_of_it)
        assert found.status_code == 404
        assert "cannot be read (No such file or directory)" in found.text


def test_a_run_s_page_tells_what_it_is_and_how_it_goes_on(small: tuple[Path, Studio, TestClient]) -> None:
    folder, _, client = small
    going(folder / "one", HISTORY, 9)
    page = client.get("/run", params={"name": "one"}).text
    assert f"softprompt train --resume --out {folder}/one" in page
    assert page.count("<svg") == 2
    assert "Go on with it" in page
    status = client.get("/run/now", params={"name": "one"}, headers=PART)
    assert status.text.lstrip().startswith('<div id="run"')
    seen = re.search(r'"seen": "(\w+)"', page)
    assert seen is None  # nobody is at it, so that nothing is asked for


@pytest.mark.parametrize("path", ["/run", "/report", "/report/page", "/run/now"])
@pytest.mark.parametrize("name", ["no", "..", "../x", "/etc", "a\0b"])
def test_what_is_not_there_is_a_line(small: tuple[Path, Studio, TestClient], path: str, name: str) -> None:
    found = small[2].get(path, params={"name": name})
    assert found.status_code == 404
    assert 'class="fault" role="alert"' in found.text
    assert small[2].get(path).status_code == 422


@pytest.mark.parametrize("path", ["/nothing", "/static/../app.py", "/static/HTMX.txt", "/docs", "/openapi.json"])
def test_nothing_else_is_served(small: tuple[Path, Studio, TestClient], path: str) -> None:
    assert small[2].get(path).status_code == 404


def test_what_pages_load_is_here(small: tuple[Path, Studio, TestClient]) -> None:
    page = small[2].get("/").text
    links = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)
    assert len(links) == 3
    assert all(small[2].get(link).status_code == 200 for link in links)
    assert "http" not in re.sub(r"<main.*</main>", "", page, flags=re.DOTALL)


def test_a_report_is_made_by_the_command_that_is_shown_and_kept_beside_the_run(
    opened: tuple[Studio, TestClient], runs: Path
) -> None:
    studio, client = opened
    began = client.post("/run/report", data={"name": "a"})
    assert (began.status_code, began.headers["location"]) == (303, "/run?name=a")
    job = studio.jobs.of("a")
    assert job is not None
    assert job.state == "done", job.last
    assert job.shown == [f"softprompt report {runs}/a"]
    assert (runs / "a" / REPORT).is_file()
    sent = client.get("/run/now", params={"name": "a"}, headers=PART)
    assert (sent.status_code, sent.headers["hx-redirect"]) == (204, "/report?name=a")
    assert "<iframe" in client.get("/report", params={"name": "a"}).text
    page = client.get("/report/page", params={"name": "a"})
    assert page.content == (runs / "a" / REPORT).read_bytes()
    assert page.headers["content-security-policy"] == FOREIGN
    assert client.get("/report", params={"name": "table/b"}).headers["location"] == "/run?name=table%2Fb"


def test_a_table_that_is_dropped_in_is_shown_and_trained_by_the_command_that_is_shown(
    small: tuple[Path, Studio, TestClient], runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, studio, client = small
    content = tickets(folder / "made" / "tickets.csv").read_bytes()
    sent = client.post("/train/table", files={"file": ("my tickets.csv", content)})
    table = parse_qs(urlsplit(sent.headers["location"]).query)["table"][0]
    assert (folder / "data" / table).read_bytes() == content
    page = client.get(sent.headers["location"] + "&backbone=tiny").text
    command = f"softprompt train --backbone tiny --data {folder}/data/{table} --text message --label team --out "
    assert f"{command}{folder}/my_tickets" in page
    assert "Guessed from the table" in page
    assert page.count("<tr>") == 6
    begun: list[list[list[str]]] = []
    monkeypatch.setattr(studio.jobs, "begin", lambda name, words: begun.append(words))
    form = {"table": table, "text": "message", "label": "team", "backbone": "tiny"}
    assert client.post("/train", data=form).headers["location"] == "/run?name=my_tickets"
    assert " ".join(begun[0][0]) == f"{command}{folder}/my_tickets"
    assert begun[0][1] == ["softprompt", "report", f"{folder}/my_tickets"]


@pytest.mark.parametrize("bad", [{"table": "no.csv"}, {"epochs": "0"}, {"epochs": "x"}, {"label": "nothing"}])
def test_a_form_with_a_fault_is_a_line(small: tuple[Path, Studio, TestClient], bad: dict[str, str]) -> None:
    folder, studio, client = small
    tickets(folder / "data" / "t.csv")
    found = client.post("/train", data={"table": "t.csv", "backbone": "tiny", **bad})
    assert found.status_code == 400
    assert 'class="fault" role="alert"' in found.text
    assert studio.jobs.running() == []


def test_chosen_prompts_answer_side_by_side(opened: tuple[Studio, TestClient]) -> None:
    _, client = opened
    form = client.get("/ask", params={"pick": ["a", "table/b"]}).text
    assert form.count(" checked") == 2
    assert 'name="field-text"' in form
    sent = {"pick": ["a", "table/b"], "field-text": "w20 w41", "template-a": "w70 {text} {mask}"}
    found = client.post("/ask", data=sent, headers=PART).text
    assert found.count("<article>") == 2
    assert found.count("with its own words") == 1 + found.count("as with its own words") + found.count(": 0")
    whole = client.post("/ask", data=sent).text
    assert "<html" in whole
    assert "w20 w41</textarea>" in whole
    assert "choose one at least" in client.post("/ask", data={"field-text": "w20"}, headers=PART).text
    assert "<svg" in client.post("/ask/words", data={"name": "a"}, headers=PART).text
    assert "<svg" in client.post("/ask/anchors", data={"pick": "table/b", "field-text": "w20"}, headers=PART).text


def test_picked_runs_are_compared(opened: tuple[Studio, TestClient]) -> None:
    studio, client = opened
    place = client.post("/compare", data={"pick": ["a", "table/b"]}).headers["location"]
    assert client.post("/compare", data={"pick": ["table/b", "a"]}).headers["location"] == place
    frame = re.search(r'<iframe[^>]* src="([^"]+)"', client.get(place).text)
    assert frame is not None
    assert "compared" in client.get(frame[1]).text or "2 runs" in client.get(frame[1]).text
    assert client.get("/compare", params={"key": "../x"}).headers["location"] == "/"
    assert studio.scratch.is_dir()
