"""The cost of a program, and the effect of chance: arrivals, SynOps, load, ensembles."""
