"""Kernels written by hand; imports nothing of funcgrad."""
