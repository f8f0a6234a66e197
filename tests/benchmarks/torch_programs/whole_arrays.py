"""PyTorch programs: sorting, cumulative sums, gathers and scatters, transforms, random numbers, linear algebra."""

from __future__ import annotations

import torch

from tests.benchmarks.torch_programs.registry import grad, program

MILLION = 1_000_000


@program()
def sort(x):
    return x.sort().values


@program()
def argsort(x):
    return x.argsort(stable=True)


@program()
def top_k(x):
    return tuple(x.topk(10))


@program()
def cumsum(x):
    return x.cumsum(0)


@program()
def gather(x, rows):
    return x[rows]


@program()
def scatter_add(zeros, places, x):
    return zeros.index_add(0, places, x)


@program()
def segment_sum(x, segments):
    return x.new_zeros(10_000).index_add(0, segments, x)


@program(compiles=False)
def fft(z):
    return torch.fft.fft(z)


@program(compiles=False)
def rfft2(x):
    return torch.fft.irfft2(torch.fft.rfft2(x) * 0.5)


@program(compiles=False)
def random_normal(key):
    return torch.randn(4 * MILLION)


@program(compiles=False)
def random_uniform(key):
    return torch.rand(4 * MILLION)


@program()
def cholesky(a):
    return torch.linalg.cholesky(a)


@program()
def solve(a, b):
    return torch.linalg.solve(a, b)


@program()
def singular_values(a):
    return torch.linalg.svdvals(a)


@program()
def eigenvalues(a):
    return torch.linalg.eigvalsh(a)


@program()
def gaussian_process_grad(params, x, y):
    def likelihood(params):
        length, noise = params.exp().unbind()
        k = torch.exp(-0.5 * ((x[:, None] - x[None, :]) / length) ** 2) + (noise + 1e-4) * torch.eye(len(x))
        chol = torch.linalg.cholesky(k)
        alpha = torch.cholesky_solve(y[:, None], chol)[:, 0]
        return 0.5 * y @ alpha + chol.diagonal().log().sum()

    return grad(likelihood)(params)
