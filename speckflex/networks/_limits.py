"""How large a model file may be; what claims to be larger is not unpacked."""

from __future__ import annotations

__all__ = ["MAX_EXPANSION", "MAX_PICKLE_BYTES", "MAX_UNPACKED_BYTES"]

# The largest network of the papers has 37 MB of weights; this leaves room for optimiser states.
MAX_UNPACKED_BYTES = 2 * 2**30
MAX_PICKLE_BYTES = 64 * 2**20
# torch stores its members uncompressed, so a file that unpacks to far more than itself is no model.
MAX_EXPANSION = 16
