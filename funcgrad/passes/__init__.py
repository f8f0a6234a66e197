"""Passes: from a graph to an equivalent graph. None knows a backend; each is verified when asked for."""
