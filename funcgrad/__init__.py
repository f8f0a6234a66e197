"""funcgrad: pure functions of arrays, traced, transformed and compiled."""
