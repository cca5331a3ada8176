"""What a run's prompt is: what was stored and settled, and with the backbone what its parts do and lie beside."""

from __future__ import annotations

from collections.abc import Sequence

from softprompt.errors import SoftPromptError
from softprompt.explain.nearest import lines_of, nearest_words
from softprompt.explain.nearest_page import nearest_parts
from softprompt.explain.removal import Effect, Removal, effects_of, layer_effects, layers_of, removable
from softprompt.explain.report.run_files import RunFiles
from softprompt.explain.report.vectors import course_parts, stored_parts
from softprompt.pages.dots import Axis, Dot, dots
from softprompt.pages.parts import Note, Part, Section
from softprompt.progress import Progress
from softprompt.storage.prompt import Prompt
from softprompt.storage.vectors import input_rows
from softprompt.tasks import Row

TITLE = "What the prompt is"


def inside_section(files: RunFiles, more: Sequence[Part] = ()) -> Section:
    """The section: what the folder tells, and what was computed besides."""
    return Section(TITLE, parts=(*course_parts(files), *more, *stored_parts(files)))


def words_parts(prompt: Prompt) -> list[Part]:
    """The nearest words of a prompt's tokens; none of a prompt with nothing of its own in the input."""
    if input_rows(prompt.producer, prompt.backbone.anatomy.embedding_size) is None:
        return []
    found = nearest_words(prompt)
    return [*nearest_parts(found), *map(Note, lines_of(found))]


def effect_parts(prompt: Prompt, rows: Sequence[Row], show: Progress) -> list[Part]:
    """What each virtual token, or each layer, does: the change where it is left out."""
    layers = layers_of(prompt.producer, prompt.backbone.anatomy.num_layers)
    count = prompt.producer.footprint.count
    if not rows:
        return [Note("The effect of removing tokens or layers is not measured: no validation rows are there.")]
    try:
        if layers:
            with show.work("without each layer", (len(layers) + 1) * len(rows), "rows") as tick:
                whole, by_layer = layer_effects(prompt, rows, tick=tick)
            return _effects(whole, {f"layer {layer}": one for layer, one in by_layer.items()}, "layer")
        if count and removable(prompt.producer):
            with show.work("without each token", (count + 1) * len(rows), "rows") as tick:
                whole, effects = effects_of(prompt, rows, tick=tick)
            return _effects(whole, {f"token {place}": one for place, one in enumerate(effects)}, "token")
    except SoftPromptError as error:
        return [Note(f"The effect of removing parts is not measured: {error}")]
    return [Note("This prompt has no tokens or layers that can be left out one at a time.")]


def _effects(whole: Removal, effects: dict[str, Effect], what: str) -> list[Part]:
    """The change of loss and metric, a figure each."""
    rule = (
        f"On {whole.rows} validation rows, which the prompt was chosen on; parts work together, so that the changes "
        "need not add up."
    )
    figures: list[Part] = []
    if all(one.loss is not None for one in effects.values()):
        items = [Dot(name, one.loss) for name, one in effects.items()]
        caption = f"The change of the mean loss where one {what} is left out: right of zero the {what} helps. {rule}"
        figures.append(dots(f"Loss without each {what}", caption, items, Axis("change of loss", None, {"none": 0.0})))
    items = [Dot(name, one.metric) for name, one in effects.items()]
    caption = f"The change of {whole.metric}, {whole.value:.3f} with all: left of zero the {what} helps. {rule}"
    axis = Axis(f"change of {whole.metric}", None, {"none": 0.0})
    return [*figures, dots(f"{whole.metric} without each {what}", caption, items, axis)]
