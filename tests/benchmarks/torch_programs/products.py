"""PyTorch programs: matrix products, reductions along either axis, derivatives of derivatives, distances."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tests.benchmarks.torch_programs.registry import grad, program


@program("matmul_64")
@program("matmul_256")
@program("matmul_1024")
@program("matmul_2048")
@program("matmul_batched")
def matmul(a, b):
    return a @ b


@program()
def matmul_transposed(a, b):
    return a.T @ b + a @ b.T


@program()
def attention_einsum(q, k, v):
    scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / 8.0
    return torch.einsum("bhqk,bkhd->bqhd", F.softmax(scores, -1), v)


@program()
def transpose(x):
    return x.T.contiguous()


@program()
def logsumexp(x):
    return torch.logsumexp(x, -1)


@program()
def logsumexp_grad(x):
    return grad(lambda x: torch.logsumexp(x, -1).sum())(x)


def _batchnorm(x, scale, bias):
    return F.batch_norm(x, None, None, scale, bias, training=True, eps=1e-5)


@program()
def batchnorm(x, scale, bias):
    return _batchnorm(x, scale, bias)


@program()
def batchnorm_grad(x, scale, bias):
    return grad(lambda *a: (_batchnorm(*a) ** 3).sum(), range(3))(x, scale, bias)


@program()
def variance_columns(x):
    return x.var(0, correction=0)


@program()
def variance_rows(x):
    return x.var(1, correction=0)


@program()
def variance_grad(x):
    return grad(lambda x: x.var(1, correction=0).sum())(x)


@program()
def variance_columns_grad(x):
    return grad(lambda x: x.var(0, correction=0).sum())(x)


def _loss(params, x, y):
    for w, b in params[:-1]:
        x = torch.tanh(x @ w + b)
    w, b = params[-1]
    return -(F.log_softmax(x @ w + b, -1) * y).sum(-1).mean()


@program()
def per_example_gradients(params, x, y):
    return torch.func.vmap(torch.func.grad(_loss), (None, 0, 0))(params, x, y)


@program()
def hessian_vector_product(params, direction, x, y):
    return torch.func.jvp(lambda p: torch.func.grad(_loss)(p, x, y), (params,), (direction,))[1]


@program()
def hessian_rosenbrock(x):
    return torch.func.hessian(
        lambda x: (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum(),
    )(x)


@program()
def pairwise_argmin(x, y):
    return torch.cdist(x, y).argmin(1)


@program()
def nbody(positions, velocities, masses):
    for _ in range(10):
        apart = positions[None] - positions[:, None]
        inverse = ((apart**2).sum(-1) + 0.01) ** -1.5
        velocities = velocities + 0.01 * (apart * (inverse * masses)[:, :, None]).sum(1)
        positions = positions + 0.01 * velocities
    return positions, velocities
