"""The rules of TaskRouter, pure: no I/O, no clock, no randomness. Time and SIDs are handed in."""
