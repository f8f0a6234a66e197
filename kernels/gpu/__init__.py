"""GPU kernels, in CUDA C."""
