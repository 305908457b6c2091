"""The command line: one command a file; parse, one library call, print."""


def main() -> None:
    """Run the command line."""
