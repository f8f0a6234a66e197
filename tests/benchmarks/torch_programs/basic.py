"""PyTorch programs: dispatch, elementwise work, row-wise reductions, multi-layer perceptrons."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tests.benchmarks.torch_programs.registry import grad, program, value_and_grad


@program()
def dispatch_1(x):
    return x + 1


@program("dispatch_100")
@program("dispatch_10")
def dispatch_many(*xs):
    return [x + 1 for x in xs]


@program(compiles=False)
def eager_add(x):
    return x + 1


@program(compiles=False)
def eager_grad(x):
    return grad(lambda x: (torch.sin(x) * x + torch.tanh(x)).sum())(x)


def _price(spot, strike, time, rate, vol):
    def cdf(x):
        return 0.5 * (1 + torch.erf(x * 0.7071067811865475))

    root = vol * torch.sqrt(time)
    d1 = (torch.log(spot / strike) + (rate + 0.5 * vol * vol) * time) / root
    return spot * cdf(d1) - strike * torch.exp(-rate * time) * cdf(d1 - root)


@program()
def black_scholes(*args):
    return _price(*args)


@program()
def black_scholes_grad(*args):
    return grad(lambda *xs: _price(*xs).sum(), range(5))(*args)


@program()
def softmax(x):
    return F.softmax(x, -1)


@program()
def softmax_grad(x, w):
    return grad(lambda x: (F.softmax(x, -1) * w).sum())(x)


@program()
def softmax_columns(x):
    return F.softmax(x, 0)


@program()
def layernorm(x, scale, bias):
    return F.layer_norm(x, x.shape[-1:], scale, bias)


@program()
def layernorm_grad(x, scale, bias, w):
    return grad(lambda x, s, b: (F.layer_norm(x, x.shape[-1:], s, b) * w).sum(), range(3))(x, scale, bias)


@program()
def sum_all(x):
    return x.sum()


@program()
def sum_rows(x):
    return x.sum(0)


@program()
def sum_columns(x):
    return x.sum(1)


@program("mlp_large")
@program("mlp_medium")
@program("mlp_small")
def mlp_step(params, x, y):
    def loss(params):
        h = x
        for w, b in params[:-1]:
            h = F.relu(h @ w + b)
        w, b = params[-1]
        return F.cross_entropy(h @ w + b, y)

    value, grads = value_and_grad(loss)(params)
    return [(w - 0.1 * gw, b - 0.1 * gb) for (w, b), (gw, gb) in zip(params, grads)], value
