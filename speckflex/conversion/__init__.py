"""What conversion does before sinabs' backend: trace, prepare, mend, and count what 8 bits lose."""
