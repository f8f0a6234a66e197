"""The workloads as PyTorch programs, by family: each as its users would write it, under its workload's name."""

from tests.benchmarks.torch_programs import basic, loops, models, products, whole_arrays, windows
from tests.benchmarks.torch_programs.registry import PROGRAMS

__all__ = ["PROGRAMS", "basic", "loops", "models", "products", "whole_arrays", "windows"]
