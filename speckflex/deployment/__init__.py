"""The main job: play recordings on a board, its twin and in torch, and compare them."""
