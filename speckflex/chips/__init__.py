"""The chips as records of numbers, each with its source."""
