"""Mixed time steps of a network that trains without neurons: levels, budgets, simulation."""
