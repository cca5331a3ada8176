"""Names that were changed, and modules that were moved: the old ones work for one minor version, and say what to write.

A module that has moved is found after everything else was looked through, so that no other import waits for this. Its
old name gives an empty module, whose every name is fetched from where it is now when it is asked for.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from importlib.abc import Loader

_PACKAGE = __name__.partition(".")[0]

# Old module, new module; within the package.
MODULES = dict(
    line.split()
    for line in """
    attaching attached.attach
    backbone backbones.load
    embedded backbones.embedded
    evaluation.evaluate evaluation.score
    evaluation.paired compare.significance
    evaluation.predict inference.predict
    fingerprint backbones.fingerprint
    generation attached.generation
    attached.memory backbones.freed
    memory backbones.freed
    prompted attached.model
    reading readouts.build
    sites.anatomy backbones.anatomy
    sites.below sites.layer_skipping
    sites.call sites.forward_call
    sites.freeze attached.freeze
    sites.placed sites.preplaced
    sites.probe backbones.probe
    sites.shared sites.prefix_sharing
    sites.structure backbones.structure
    sites.untouched backbones.untouched
    source backbones.source
    storage.documents files.documents
    storage.forms files.forms
    storage.places files.places
    storage.tensors files.tensors
    storage.written files.written
    tasks.building tasks.data.records
    tasks.draws tasks.data.sampling
    tasks.encoding tasks.text.encoding
    tasks.files tasks.data.files
    tasks.fitting tasks.text.fitting
    tasks.labels tasks.data.labels
    tasks.layouts tasks.data.layouts
    tasks.protocol tasks.data.splits
    tasks.readout_templates tasks.text.readout_templates
    tasks.readouts readouts
    tasks.readouts.around readouts.surround
    tasks.readouts.base readouts.base
    tasks.readouts.candidates readouts.candidates
    tasks.readouts.generation readouts.free_text
    tasks.readouts.head readouts.head
    tasks.readouts.make readouts.choose
    tasks.readouts.placed readouts.single_column
    tasks.readouts.pool readouts.mixture
    tasks.readouts.rows readouts.label_rows
    tasks.readouts.sentinel readouts.sentinel
    tasks.readouts.soften readouts.template_words
    tasks.readouts.words readouts.label_words
    tasks.sources tasks.data.sources
    tasks.template tasks.text.template
    training.adapt training.adaptation.run
    training.adapt_trainer training.adaptation.trainer
    training.caching training.fitting.frozen_states
    training.checkpoint training.fitting.checkpoint
    training.claim training.run_folder
    training.controls compare.layers
    training.prefix_lm training.adaptation.prefix_lm
    training.resumable training.fitting.resumable
    training.search training.courses.layer_search
    training.selection training.fitting.best
    training.stage training.fitting.stage
    training.start training.warm_start
    training.texts training.adaptation.texts
    training.trainer training.fitting.trainer
    training.work training.courses.work
    wrapper attached.wrapper
    """.strip().splitlines()
)
# Old name, new name, where more than the module has changed.
NAMES = dict(
    line.split()
    for line in """
    Setting BuildContext
    methods.Setting methods.BuildContext
    methods.base.Setting methods.base.BuildContext
    reading.has_lm_head backbones.heads.has_lm_head
    sites.below.Below sites.layer_skipping.RecordedStates
    sites.freeze.checkpoints sites.recompute.checkpoints
    source.Source backbones.source.BackboneSource
    storage.forms.Form files.forms.TensorForm
    tasks.Fitted tasks.FittedText
    tasks.encoding.Coder tasks.text.encoding.RowEncoder
    tasks.files.read tasks.data.files.read_records
    tasks.fit tasks.fit_text
    tasks.fitting.Fitted tasks.text.fitting.FittedText
    tasks.fitting.fit tasks.text.fitting.fit_text
    tasks.labels.label_text tasks.values.label_text
    tasks.labels.listed tasks.values.listed
    tasks.layouts.table tasks.data.layouts.flat_table
    tasks.protocol.Source tasks.data.splits.DataSource
    tasks.readouts.ReadoutOptions readouts.ReadoutSpec
    tasks.readouts.generation.Generation readouts.free_text.FreeText
    tasks.readouts.make_readout readouts.choose.make_readout
    tasks.readouts.placed.Placed readouts.single_column.SingleColumn
    tasks.readouts.pool.Pool readouts.mixture.Mixture
    tasks.readouts.rows.Rows readouts.label_rows.LabelRows
    tasks.readouts.words.Words readouts.label_words.LabelWords
    training.selection.Selection training.fitting.best.BestState
    """.strip().splitlines()
)


def old_name(module: str, name: str) -> object:
    """What an old name stands for; for the `__getattr__` of its module, whose caller is told.

    Args:
        module: the `__name__` of the module that was asked, now or before it moved.
        name: what it was asked for.

    Raises:
        AttributeError: it is no old name, or one for the library's own use.
    """
    old = f"{module}.".removeprefix(f"{_PACKAGE}.")
    moved = MODULES.get(old.removesuffix("."))
    new = NAMES.get(old + name) or (f"{moved}.{name}" if moved and not name.startswith("_") else "")
    place, _, own = f"{_PACKAGE}.{new}".rpartition(".")
    if not own or not hasattr(import_module(place), own):
        hint = f"; the module is {_PACKAGE}.{moved} now" if moved else ""
        raise AttributeError(f"module {module!r} has no attribute {name!r}{hint}", name=name)
    line = f"{module}.{name} is {place}.{own} now; the old name goes with the next minor version"
    warnings.warn(line, DeprecationWarning, stacklevel=3)
    return getattr(import_module(place), own)


class _MovedModules:
    """Finds and makes the modules of `MODULES` under their old names; importlib.abc would double the import's time."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        old = name.removeprefix(f"{_PACKAGE}.")
        if old not in MODULES or old == name:
            return None
        return ModuleSpec(name, cast("Loader", self), is_package=any(other.startswith(f"{old}.") for other in MODULES))

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        new = MODULES[spec.name.removeprefix(f"{_PACKAGE}.")]
        return ModuleType(spec.name, f"`{_PACKAGE}.{new}` under its old name.")

    def exec_module(self, module: ModuleType) -> None:
        def __getattr__(name: str) -> object:
            return old_name(module.__name__, name)

        module.__dict__["__getattr__"] = __getattr__


_FINDER = _MovedModules()


def find_moved_modules() -> None:
    """Let imports find moved modules by their old names."""
    if _FINDER not in sys.meta_path:
        sys.meta_path.append(_FINDER)
