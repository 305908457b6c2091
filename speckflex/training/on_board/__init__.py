"""Training whose forward pass a board plays: the method "board"."""
