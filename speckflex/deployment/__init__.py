"""The main job: play recordings on board, twin and torch, and compare."""
