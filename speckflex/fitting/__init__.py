"""Whether a program fits on a chip: memory, limits, placement and findings."""
