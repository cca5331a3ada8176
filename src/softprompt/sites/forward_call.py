"""One call of the attached model: what the hooks of the three sites share while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from softprompt.backbones.exporting import is_exporting
from softprompt.errors import SoftPromptError
from softprompt.sites.asking import Around, entry_of
from softprompt.sites.footprint import Footprint
from softprompt.sites.int8_products import Int8Products
from softprompt.sites.joining import Join
from softprompt.sites.kept_texts import KeptTexts
from softprompt.sites.layer_skipping import RecordedStates
from softprompt.sites.layout import Layout, Slots
from softprompt.sites.producer import Producer, StandIn
from softprompt.sites.products import product
from softprompt.sites.recompute import checkpoints
from softprompt.sites.shared_attention import SharedPrefix


@dataclass
class Call:
    """The state of one forward pass, or of one whole `generate`; what is attached works in it alone.

    Attributes:
        owner: the attached model whose call it is.
        producers: the prompts that were attached when it began.
        footprints: what each of them occupies.
        slots: their virtual ids.
        rows: the prompt of each row of the user's batch.
        around: what works around the calls of the backbone's modules.
        stand_ins: what stands in for the backbone's own parameters.
        training: whether the prompts train.
        dropout: whether the backbone's dropout works while they do.
        inserting: whether the virtual tokens still have to be put into the ids.
        conditioning: columns that may condition an instance-aware prompt, bool, shape `(B, N)`, or None for all.
        select: columns of the user's whose states the head shall see, shape `(B, S)`, or None for all.
        join: the keys and values of the site `attention`.
        layout: the batch with its virtual tokens; None in a decoding step.
        positions: of the columns that run, where the body's own counting would be wrong; None where it is right.
        moved: by how much positions that the body works out by itself, of text and images, move: shape `(B, 1)`.
        resolved: whether the embedding hook has done its work.
        shared_prefix: how the batch is made up where it runs as one row; else None.
        shows_states: whether the caller wants the states of every layer.
        wants_cache: whether the caller sees a cache that the body makes.
        states_below: states that are given in the place of the lowest layers, or recorded for that; None for neither.
        kept_texts: what is kept of texts that no trained value reaches; None where nothing is.
        mask: as the model was given it, `(B, N)`, whatever its body is.
        batch: how many rows the stack runs, whose states may have an axis more than `(batch, tokens, H)`.
        carried: the prefixes of attentions whose layers do not hand their keywords on.
        through_cache: whether prefixes stand in the cache, and are handed to no layer.
        calls: how often each layer has run, by its first place (shared layers run several times).
        began: whether the backbone's body was reached.
        checkpointed: whether a layer computes inside a checkpoint, where its dropout rests.
        apart: whether rows run as they are, whatever one row would leave out, as in a trial.
        int8: products of a backbone that was loaded for int8; None where they are not to be, as in a trial.
    """

    owner: object
    producers: tuple[Producer, ...]
    footprints: tuple[Footprint, ...]
    slots: tuple[Slots, ...]
    rows: tuple[int, ...]
    around: Mapping[nn.Module, Around]
    stand_ins: Mapping[nn.Module, StandIn]
    training: bool
    dropout: bool
    inserting: bool
    join: Join
    conditioning: Tensor | None = None
    select: Tensor | None = None
    layout: Layout | None = None
    positions: Tensor | None = None
    moved: Tensor | None = None
    resolved: bool = False
    shared_prefix: SharedPrefix | None = None
    shows_states: bool = False
    wants_cache: bool = True
    states_below: RecordedStates | None = None
    kept_texts: KeptTexts | None = None
    mask: Tensor | None = None
    batch: int = 0
    carried: dict[nn.Module, object] = field(default_factory=dict)
    through_cache: bool = False
    calls: dict[int, int] = field(default_factory=dict)
    began: bool = False
    checkpointed: bool = False
    apart: bool = False
    int8: Int8Products | None = None

    def tensor(self, module: nn.Module, name: str) -> Tensor | None:
        """What stands in the place of a module's parameter, or None."""
        stand_in = entry_of(self.stand_ins, module)
        return None if stand_in is None else stand_in.tensors.get(name)

    def trains(self, module: nn.Module) -> bool | None:
        """The training flag of a module, or None for its own.

        Only layers that checkpoint must believe that they train, or they keep what they should recompute; while they
        compute, their dropout rests all the same.
        """
        if not self.training:
            return None
        return self.dropout or (not self.checkpointed and checkpoints(module))

    def computed(self, module: nn.Module, given: Tensor) -> Tensor | None:
        """What a linear module makes of its input in int8 or by oneDNN, or None where torch's own product stands."""
        made = None if self.int8 is None else self.int8.of(module, given)
        return product(module, given) if made is None else made

    @property
    def keep(self) -> Tensor | None:
        """The column of each of the user's columns, shape `(B, N)`, or None where nothing was inserted."""
        return None if self.layout is None else self.layout.keep

    def columns(self, selected: Tensor) -> Tensor:
        """Columns of the running batch for columns `(B, S)` of the user's: the same shape, or one row, each once."""
        if self.shared_prefix is not None:
            return self.shared_prefix.columns(selected)
        return selected if self.keep is None else self.keep.gather(1, selected)

    def of_selected(self, found: Tensor) -> Tensor:
        """What was made of the selected columns, as `(B, S, ...)`."""
        assert self.select is not None
        if self.shared_prefix is not None:
            found = self.shared_prefix.with_doubles(self.select, found)
        return found.view(*self.select.shape, -1)

    def rows_of(self, batch: int) -> tuple[int, ...]:
        """The rows for a batch that generation or a multiple-choice head repeated row by row.

        An exported graph does not know how many rows it will be asked for: one prompt then stands for all, and what is
        made of it has one row, which broadcasts.

        Raises:
            SoftPromptError: the batch is no multiple of the rows.
        """
        if is_exporting():
            return self.rows
        if batch % len(self.rows):
            raise SoftPromptError(f"`prompts` names {len(self.rows)} rows, but the batch has {batch}")
        repeat = batch // len(self.rows)
        return self.rows if repeat == 1 else tuple(row for row in self.rows for _ in range(repeat))
