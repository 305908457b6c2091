"""The twin on a GPU: what its samples, cores and queues are there, and who starts the kernels."""
