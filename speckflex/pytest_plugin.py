"""The pytest plugin for users' own hardware tests."""
