"""The loops that numba compiles: arrays and scalars in, no objects, no validation."""
