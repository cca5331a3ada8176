"""The tests of a file stand where a reader looks for them, and test files share what stands in `tests/shared`.

`src/softprompt/ROOM/FILE.py` is tested by `tests/ROOM/test_FILE.py`, and a task of the catalog may be tested alike.
What is tested elsewhere is named here with where and why, and so is each test file that is of no one file.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from .shared.imports import PACKAGE

TESTS = Path(__file__).parent
ROOT = TESTS.parent
# These cross the rooms, and a test file of theirs mirrors nothing.
CROSSING = ("attacks", "fixtures", "integration", "invariants", "shared")

# What is done at a site, or on the way to one, shows in what every method and family gives.
INVARIANTS = """
    attached/freeze attached/wrapper sites/asking sites/attached sites/forward_call sites/gate
    sites/held sites/hidden sites/insertion sites/joining sites/layer_skipping sites/preplaced
    sites/producer
    sites/recompute sites/stream
"""
# Parts of methods are held to the equations of the methods that use them.
EQUATIONS = """
    methods/parts/encoders methods/parts/generators methods/parts/peft_layers
    methods/parts/prefixes methods/parts/saved_table
    methods/parts/weights readouts/mixture training/courses/autoprompt training/courses/mixture
"""
# Where the file is a step of what another does, its tests ask that for the whole.
WHOLE = {
    "__main__": "cli/test_main.py",
    "attached/constants": "training/fitting/test_frozen_states.py",
    "attached/generation": "invariants/test_generation.py",
    "attached/standing": "attached/test_lowered.py",
    "attached/unchanged": "backbones/test_vocabulary.py",
    "backbones/bare": "backbones/test_load.py",
    "backbones/freed": "attacks/test_attaching.py",
    "backbones/cache": "backbones/test_embedded.py",
    "backbones/projections": "methods/test_lora.py",
    "backbones/beginning": "sites/test_key_values.py",
    "backbones/exporting": "carrying/test_onnx_graph.py",
    "backbones/facts": "backbones/test_anatomy.py",
    "backbones/readers": "backbones/test_anatomy.py",
    "backbones/sharding": "training/test_ranked.py",
    "backbones/remembered": "backbones/test_backbone.py",
    "backbones/structure": "backbones/test_anatomy.py",
    "backbones/untouched": "invariants/test_i11_detach.py",
    "backbones/verdicts": "backbones/test_probe.py",
    "carrying/beside/client": "carrying/test_prompt_embeds.py",
    "carrying/beside/past": "carrying/test_keys_values.py",
    "carrying/chat_templates": "carrying/test_vocabulary.py",
    "carrying/format": "carrying/test_peft_checkpoint.py",
    "carrying/formats": "carrying/test_peft_checkpoint.py",
    "carrying/heads": "carrying/test_peft_checkpoint.py",
    "carrying/named": "carrying/test_peft_checkpoint.py",
    "carrying/names": "cli/test_export.py",
    "carrying/programs": "carrying/test_vocabulary.py",
    "carrying/readme": "carrying/test_peft_checkpoint.py",
    "carrying/standing_beside": "carrying/test_keys_values.py",
    "carrying/vectors": "carrying/test_peft_checkpoint.py",
    "cli/common": "cli/test_program.py",
    "cli/found": "cli/test_search.py",
    "cli/push": "carrying/test_push.py",
    "cli/searching": "cli/test_search.py",
    "compare/beside": "cli/test_search.py",
    "compare/child": "compare/test_local.py",
    "compare/choice_record": "compare/test_choosing.py",
    "compare/doing": "compare/test_local.py",
    "compare/executor": "compare/test_queue.py",
    "compare/forecast": "cli/test_compare.py",
    "compare/here": "compare/test_queue.py",
    "compare/making": "cli/test_compare.py",
    "compare/outlook": "cli/test_compare.py",
    "compare/results": "compare/test_layers.py",
    "compare/table": "compare/test_tabulate.py",
    "compare/ray_driver": "compare/test_on_ray.py",
    "compare/ray_lines": "compare/test_on_ray.py",
    "compare/tried": "compare/test_search.py",
    "compare/verdict": "compare/test_choosing.py",
    "compare/walking": "compare/test_gathering.py",
    "compare/wanted_choice": "compare/test_choosing.py",
    "compare/worker": "compare/test_local.py",
    "explain/report/inside": "explain/report/test_page.py",
    "explain/anchors/flows": "explain/anchors/test_reading.py",
    "explain/anchors/looking": "explain/anchors/test_measure.py",
    "explain/anchors/table": "explain/anchors/test_reading.py",
    "explain/vectors": "explain/test_nearest.py",
    "guards/limits": "attacks/test_bombs.py",
    "presets/definition": "presets/test_catalog.py",
    "readouts/build": "readouts/test_choose.py",
    "guards/yaml_files": "presets/test_catalog.py",
    "interop/peft_files": "interop/test_peft_checkpoint.py",
    "readouts/columns_head": "readouts/test_tag_head.py",
    "readouts/context": "readouts/test_choose.py",
    "readouts/continuations": "readouts/test_candidates.py",
    "readouts/single_column": "readouts/test_label_words.py",
    "readouts/surround": "readouts/test_label_words.py",
    "sites/joined_attention": "sites/test_attention.py",
    "sites/kept_texts": "sites/test_behind_texts.py",
    "serving/about": "serving/test_app.py",
    "serving/begin_writing": "serving/test_scribe.py",
    "serving/bodies": "serving/test_app.py",
    "serving/described": "serving/test_playground.py",
    "serving/door": "serving/test_app.py",
    "serving/faults": "serving/test_app.py",
    "serving/folder": "serving/test_shelf.py",
    "serving/jobs": "serving/test_scribe.py",
    "serving/labels": "serving/test_app.py",
    "serving/options": "serving/test_run.py",
    "serving/served": "serving/test_shelf.py",
    "serving/service": "serving/test_app.py",
    "serving/telemetry": "serving/test_app.py",
    "serving/together": "serving/test_engine.py",
    "storage/attached": "attached/test_saving.py",
    "studio/app": "studio/test_pages.py",
    "studio/asking_pages": "studio/test_pages.py",
    "studio/questions": "studio/test_asking.py",
    "studio/reports": "studio/test_pages.py",
    "studio/runs_pages": "studio/test_pages.py",
    "studio/state": "studio/test_pages.py",
    "studio/training_pages": "studio/test_pages.py",
    "storage/vectors": "storage/test_prompt.py",
    "tasks/data/record": "tasks/data/test_arrow.py",
    "tasks/data/typed": "tasks/data/test_layouts.py",
    "tasks/in_place": "tasks/data/test_tagged.py",
    "tasks/label_texts": "tasks/test_definition.py",
    "tasks/guess/from_file": "tasks/guess/test_guess.py",
    "tasks/origins": "tasks/data/test_sources.py",
    "tasks/rows": "tasks/data/test_records.py",
    "tasks/seen": "storage/test_seen.py",
    "tasks/task": "tasks/data/test_splits.py",
    "tasks/text/offsets": "tasks/text/test_words.py",
    "tasks/text/passage": "readouts/test_span_head.py",
    "training/adaptation/trainer": "training/adaptation/test_run.py",
    "training/courses/fit": "training/test_run.py",
    "training/courses/layers": "cli/test_select.py",
    "inference/prefilled": "training/fitting/test_frozen_states.py",
    "training/fitting/checkpoint": "attacks/test_flipped.py",
    "training/fitting/gradients": "training/test_divergence.py",
    "training/fitting/record": "training/test_resume.py",
    "training/fitting/stage": "training/courses/test_work.py",
    "training/fitting/stage_spec": "training/courses/test_work.py",
    "training/fitting/task_model": "training/fitting/test_frozen_states.py",
    "training/fitting/trainer": "training/test_run.py",
    "training/records": "training/test_identity.py",
    "training/specified": "training/test_run.py",
    "training/multitask/joint": "training/multitask/test_run.py",
    "training/multitask/storing": "training/multitask/test_run.py",
    "training/multitask/trainer": "training/multitask/test_run.py",
}
# Test files of no one file, by what they hold.
OWN = {
    "benchmarks": ["test_benchmarks.py", "test_sweep.py"],
    "pages": [
        "test_docs.py",
        "test_docstrings.py",
        "test_documented_names.py",
        "test_examples.py",
        "test_guides.py",
        "test_notebooks.py",
        "test_needs.py",
        "test_pages.py",
    ],
    "the house": ["test_architecture.py", "test_mirror.py", "test_rooms.py", "test_sizes.py", "test_types.py"],
    "requests that nobody would write": ["serving/test_fuzz.py"],
    "pages in a browser": ["pages/test_browser.py", "studio/test_browser.py"],
    "pages of the studio": ["studio/test_pages.py"],
    "packages that bring methods": ["cli/test_plugins.py"],
    "folders of earlier versions": ["storage/test_old_folders.py", "training/test_old_runs.py"],
    "resumed runs of every method and family": ["training/test_resume.py"],
    "catalog": [f"tasks/catalog/test_{name}.py" for name in ("catalog", "few_shot", "glue", "published", "superglue")],
}


def files() -> set[str]:
    """Every file of the package, without its ending; those that only gather names have none of their own."""
    found = (path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py"))
    return {str(path) for path in found if path.name != "__init__"}


def mirror(name: str) -> str:
    folder, _, last = name.rpartition("/")
    return f"{folder}/test_{last}.py".lstrip("/")


def test_each_file_has_its_tests_where_they_are_looked_for() -> None:
    elsewhere = {*INVARIANTS.split(), *EQUATIONS.split(), *WHOLE}
    assert {name for name in files() - elsewhere if not (TESTS / mirror(name)).is_file()} == set()
    assert elsewhere - files() == set(), "of these there is no file"
    assert {name for name in elsewhere if (TESTS / mirror(name)).is_file()} == set(), "these have tests of their own"
    assert {where for where in WHOLE.values() if not (TESTS / where).is_file()} == set()


def test_each_test_file_is_of_a_file() -> None:
    own = {name for names in OWN.values() for name in names}
    found = {str(path.relative_to(TESTS)) for path in TESTS.rglob("test_*.py")}
    mirrored = {mirror(name) for name in files()}
    mirrored |= {f"tasks/catalog/test_{path.stem}.py" for path in (PACKAGE / "tasks" / "catalog").glob("*.yaml")}
    assert {name for name in found - own - mirrored if name.split("/")[0] not in CROSSING} == set()
    assert own - found == set()


def test_no_test_file_is_imported() -> None:
    found = []
    for path in sorted(TESTS.rglob("*.py")):
        parts = ["tests", *path.relative_to(TESTS).with_suffix("").parts]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                start = ".".join([*(parts[: -node.level] if node.level else []), *filter(None, [node.module])])
                names = [start, *(f"{start}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            found += [(str(path), name) for name in names if re.search(r"^tests\..*\b(test_\w+|conftest)$", name)]
    assert found == []


def test_test_files_that_are_named_are_there() -> None:
    """In the pages, and where an attack names the tests that hold it."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(TESTS / "attacks").glob("*.py")]
    named = {(path.name, name) for path in pages for name in re.findall(r"\btests/[\w/]+\.py", path.read_text("utf-8"))}
    named = {(page, name) for page, name in named if "NAME" not in name}  # what a new file's tests are to be called
    assert len(named) > 20
    assert {(page, name) for page, name in named if not (ROOT / name).is_file()} == set()
