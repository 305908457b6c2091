"""Torch networks: files, their layer graph, folding, and the networks of the papers."""
