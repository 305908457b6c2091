"""What a program costs and how far chance moves it: arrivals, SynOps, load, ensembles."""
