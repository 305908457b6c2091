"""The chip behind samna: configuration, link, session and results."""
