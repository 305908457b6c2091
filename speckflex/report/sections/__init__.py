"""The sections of a report, one module each: its facts, tables and pictures."""
