"""The page on which prompts are tried: one file through the shell of all pages, which asks this server alone.

Another page that stands on a server of the same routes takes it in as a part: `playground.css`, `playground_form` and
`playground.js` of the shell's templates, or `fragment`.
"""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from softprompt.pages.shell import rendered

TITLE = "Try the prompts"


@dataclass(frozen=True)
class Fragment:
    """The playground as a part of another page, whose policy must let it connect to its own server.

    Attributes:
        style: rules of its own.
        form: its elements.
        script: what it does, after the shell's own.
    """

    style: Markup
    form: Markup
    script: Markup


def playground(title: str = TITLE, api: str = "", *, token: bool = True) -> str:
    """The page.

    Args:
        title: of the page.
        api: what stands before `/v1/...` in its requests.
        token: whether there is a field for a token.
    """
    return rendered("{% extends 'playground.html.jinja' %}", title=title, api=api, token=token)


def fragment(api: str = "", *, token: bool = False) -> Fragment:
    """The playground as a part of another page.

    Args:
        api: what stands before `/v1/...` in its requests.
        token: whether there is a field for a token.
    """
    parts = ("playground.css", "playground_form.html.jinja", "playground.js")
    made = [rendered(f"{{% include {part!r} %}}", api=api, token=token) for part in parts]
    return Fragment(*(Markup(one) for one in made))  # noqa: S704  (our own templates, which escape what is given)
