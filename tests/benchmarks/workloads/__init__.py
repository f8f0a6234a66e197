"""All workloads, by family."""

from tests.benchmarks.workloads import basic, loops, models, products, whole_arrays, windows
from tests.benchmarks.workloads.registry import WORKLOADS

__all__ = ["WORKLOADS", "basic", "loops", "models", "products", "whole_arrays", "windows"]
