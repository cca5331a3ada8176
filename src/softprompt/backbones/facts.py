"""What no short trial of a model shows: facts of single families, in the only place where one is named."""

from __future__ import annotations

# Families that no prompt can be trained on, each with the reason.
UNSERVED = {
    "reformer": "it takes gradients in training mode alone, where its hashes and its dropout are drawn anew: choose "
    "another backbone",
}
# Decoders whose own mask forgets the padding of columns that a cache holds, so that a padded batch generates otherwise.
FORGETS_PADDING = frozenset({"git"})
