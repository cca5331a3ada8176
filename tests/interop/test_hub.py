"""Names of the hub: what is no prompt there is one line."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

import softprompt as sp
from softprompt.interop.hub import at_hand

from ..shared.hub import local_hub
from ..shared.models import model, tokenizer


@pytest.mark.parametrize("given", ["runs/first", Path("here"), "hf", "hfx://me/mine"])
def test_another_path_is_left_as_it_is(given: str | Path) -> None:
    assert at_hand(given) is given


@pytest.mark.parametrize(("name", "revision", "inside"), [
    ("hf://me/mine@refs/pr/3", "refs/pr/3", ""),
    ("hf://me/mine@refs/pr/3/a/b", "refs/pr/3", "a/b"),
    ("hf://me/mine@refs/convert/parquet/a", "refs/convert/parquet", "a"),
    ("hf://me/mine@new%2Fidea/a", "new/idea", "a"),
    ("hf://me/mine@one%2ftwo%2Fthree/", "one/two/three", ""),
    ("hf://me/mine@v1.0/a", "v1.0", "a"),
    ("hf://me/mine@refsheet/a", "refsheet", "a"),
    ("hf://me/mine/refs/pr/3", None, "refs/pr/3"),
    (Path("hf://me/mine@refs/pr/3/a"), "refs/pr/3", "a"),
])  # fmt: skip
def test_a_revision_may_have_slashes(
    name: str | Path, revision: str | None, inside: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with local_hub(tmp_path, monkeypatch) as hub:
        hub.revisions = {quote(revision or "main", safe="")}
        hub.files["me/mine"] = {f"{inside}/prompt.json".lstrip("/"): b"{}"}
        found = Path(at_hand(name))
        assert (found / "prompt.json").read_text() == "{}"
        assert found.as_posix().endswith(inside)
        hub.revisions = set()
        with pytest.raises(sp.SoftPromptError, match="the repository has no revision") as error:
            at_hand(str(name).replace("mine", "mine@other", 1) if revision is None else name)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("revision", [
    "", "refs", "refs/", "refs/pr", "refs/pr/", "refs/pr/x", "refs/heads/main", "a%2F", "%2Fa", "a%2F%2Fb", "a%20b",
    "a%2F..%2Fb", "..", "a@b", "a%252Fb",
])  # fmt: skip
def test_what_is_no_revision_is_refused_without_asking(revision: str) -> None:
    with pytest.raises(sp.SoftPromptError, match="names no prompt of the hub: write .*behind @ one as main, refs/pr/3"):
        at_hand(f"hf://me/mine@{revision}")


@pytest.mark.parametrize("name", ["hf://", "hf://mine", "hf://me/../mine", "hf://me/mine@a b", "hf:///me/mine"])
def test_what_is_no_name_is_refused_without_asking(name: str) -> None:
    with pytest.raises(sp.SoftPromptError, match="names no prompt of the hub: write hf://OWNER/NAME"):
        at_hand(name)


def test_what_the_hub_does_not_have_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with local_hub(tmp_path, monkeypatch) as hub:
        hub.files["me/code"] = {"run.py": b"raise SystemExit"}
        hub.gated.add("me/gated")
        for name, told in (
            ("me/none", "no such repository"),
            ("me/gated", "is gated: accept its terms"),
            ("me/code", "holds no prompt: it has neither prompt.json nor adapter_config.json"),
        ):
            with pytest.raises(sp.SoftPromptError) as error:
                sp.load(f"hf://{name}", model("llama"), tokenizer())
            assert told in str(error.value)
            assert "\n" not in str(error.value)


def test_several_prompts_of_one_repository_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with local_hub(tmp_path / "cache", monkeypatch) as hub:
        two = {"a": sp.PromptTuning(num_virtual_tokens=2), "b": sp.PTuningV2(num_virtual_tokens=3)}
        with sp.attach(model("llama"), tokenizer(), two) as prompted:
            prompted.push_to_hub("me/both", token="hf_mine")
        assert {name.split("/")[0] for name in hub.files["me/both"]} == {"a", "b"}
        assert sp.load("hf://me/both/b", model("llama"), tokenizer()).method == two["b"]


def test_no_network_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(sp.SoftPromptError, match="hf://me/mine cannot be fetched") as error:
        at_hand("hf://me/mine")
    assert "\n" not in str(error.value)
