"""The formats that recordings come in: a module each, listed in `files` and `layouts`."""
