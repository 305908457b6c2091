"""Experiments on a devkit that settle what no document says about it."""
