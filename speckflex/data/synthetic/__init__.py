"""Simulated recordings: what is shown, the sensor that sees it, and the files it is kept in."""
