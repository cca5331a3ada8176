"""`softprompt`: the verbs, and what their failures look like."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from softprompt import __version__
from softprompt.cli.adapt import adapt
from softprompt.cli.common import telling_interruptions
from softprompt.cli.compare import compare
from softprompt.cli.discretise import discretise
from softprompt.cli.doctor import doctor
from softprompt.cli.ensemble import ensemble
from softprompt.cli.evaluate import evaluate
from softprompt.cli.explain import explain
from softprompt.cli.export import export
from softprompt.cli.helping import Verb, first_sentence
from softprompt.cli.methods import methods
from softprompt.cli.multitask import multitask
from softprompt.cli.predict import predict
from softprompt.cli.presets import presets
from softprompt.cli.program import run
from softprompt.cli.push import push
from softprompt.cli.report import report
from softprompt.cli.results import results
from softprompt.cli.search import search
from softprompt.cli.select import select
from softprompt.cli.serve import serve
from softprompt.cli.studio import studio
from softprompt.cli.task import task
from softprompt.cli.tasks import tasks
from softprompt.cli.train import train
from softprompt.cli.transfer import transfer


class Verbs(TyperGroup):
    """The verbs; what an interruption says is told before typer turns it into a bare exit code."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Each verb with its whole first sentence."""
        listed = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Verbs"):
            formatter.write_dl([(name, first_sentence(verb)) for name, verb in listed])

    def invoke(self, ctx: Any) -> Any:
        """Run a verb."""
        with telling_interruptions():
            return super().invoke(ctx)


app = typer.Typer(
    cls=Verbs,
    help="Teach a frozen language model a task with a few kilobytes.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"softprompt {__version__}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="say which version this is")
]


@app.callback()
def softprompt(version: Version = False) -> None:
    """What stands before a verb."""


for verb in (
    train,
    multitask,
    compare,
    search,
    select,
    results,
    report,
    studio,
    evaluate,
    predict,
    ensemble,
    serve,
    transfer,
    export,
    push,
    adapt,
    discretise,
    methods,
    presets,
    tasks,
    doctor,
):
    app.command(cls=Verb)(verb)
app.add_typer(explain, name="explain")
app.add_typer(task, name="task")


def main() -> None:
    """Run a verb; a fault that the user can mend is one line and exit code 1, an interruption 130."""
    run(app)


if __name__ == "__main__":
    main()
