"""Recordings: what a board returned, their files and their differences."""
