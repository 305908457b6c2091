"""Search for training settings: axes, trials on the twin, and a study that many workers share."""
