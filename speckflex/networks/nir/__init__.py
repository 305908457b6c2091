"""NIR graphs: read from HDF5 by field name, made into torch networks, written from programs."""
