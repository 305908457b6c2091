"""Reading model files: torch files, state dicts and NIR graphs, with nothing in them executed."""
