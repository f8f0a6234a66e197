"""Tracing: the current trace, abstract tracers, and graphs made by running functions on them."""
