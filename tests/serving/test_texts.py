"""Texts and chats over a socket: what has no room, what fails meanwhile, and the tokenizer's form of a chat."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from softprompt.backbones.fingerprint import fingerprint
from softprompt.methods import method
from softprompt.storage.prompt import Prompt, save

from ..shared.models import model, tokenizer
from ..shared.prompts import producer
from ..shared.served import GENERATION, TEXTS, Answered, put, server, within

FAMILY = "llama"
FORM = """{% if messages[0].role != 'user' %}{{ raise_exception('a user begins') }}{% endif %}
{%- for one in messages %} {{ one.content }}{% endfor %}"""


def test_a_prompt_without_a_task_goes_on_with_a_chat_in_the_tokenizers_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "softprompt.serving.requests")
    root, body, chosen = tmp_path / "prompts", model(FAMILY), method("prompt_tuning")
    bare = Prompt(chosen, producer(body, chosen, 3), None, None, None, fingerprint(body), body, tokenizer())
    save(bare, root / "bare")
    with server(root, FAMILY, log_texts=True) as own:
        monkeypatch.setattr(own.app.state.service.engine.backbone.tokenizer, "chat_template", FORM)

        def chat(*said: tuple[str, str]) -> Answered:
            messages = [{"role": role, "content": content} for role, content in said]
            return own.ask("/v1/chat/completions", {"model": "bare", "messages": messages, "max_tokens": 6})

        found = chat(("user", "w33 w71"), ("assistant", "w64"))
        plain = own.ask("/v1/completions", {"model": "bare", "prompt": "w33 w71 w64", "max_tokens": 6})
        assert found.json["choices"][0]["message"]["content"] == plain.json["choices"][0]["text"] != ""
        assert found.json["usage"] == plain.json["usage"]
        refused = chat(("assistant", "w50"))
        assert refused.status == 400
        assert "does not take them (a user begins)" in refused.json["error"]["message"]
        assert chat(("user", "w" * 60_000), ("assistant", "w" * 60_000)).status == 413
    seen = [json.loads(one.getMessage()) for one in caplog.records if one.name == "softprompt.serving.requests"]
    asked = [line for line in seen if line["status"] != 413]
    assert [(line["models"], line["rows"], line["texts"]) for line in asked] == [
        (["bare"], 1, ["w33 w71\nw64"]), (["bare"], 1, ["w33 w71 w64"]), (["bare"], 1, ["w50"]),
    ]  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
def test_texts_for_which_there_is_no_room_are_refused_together_and_keep_no_prompt(tmp_path: Path, stream: bool) -> None:
    root = tmp_path / "prompts"
    put(root, "writer", FAMILY, "prompt_tuning", {"num_virtual_tokens": 2}, **GENERATION)
    with server(root, FAMILY, limits={"queue_rows": 2}) as own:
        shelf = own.app.state.service.engine.shelf
        found = own.ask("/v1/completions", {"model": "writer", "prompt": TEXTS, "stream": stream})
        assert (found.status, found.json["error"]["type"]) == (429, "rate_limit_error")
        within(lambda: all(one.users == 0 for one in shelf._loaded.values()))


def test_a_fault_of_a_stream_is_its_last_event(tmp_path: Path) -> None:
    root = tmp_path / "prompts"
    wishes = {"max_new_tokens": 4, "num_beams": 2}
    put(root, "beams", FAMILY, "prompt_tuning", {"num_virtual_tokens": 2}, **GENERATION, wishes=wishes)
    with server(root, FAMILY) as own:
        body = {"model": "beams", "prompt": TEXTS[0], "temperature": 1, "stream": True}
        events = own.ask("/v1/completions", body).body.decode().split("\n\n")
    (told,) = (json.loads(one.removeprefix("data: ")) for one in events if one)
    assert "writes the likeliest text alone" in told["error"]["message"]
