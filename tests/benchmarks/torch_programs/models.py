"""PyTorch programs: train steps of a GPT and of a convolutional network."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch.utils import _pytree as pytree

from tests.benchmarks.torch_programs.registry import program, value_and_grad

HEADS = 8


def _norm(x, p):
    return F.layer_norm(x, x.shape[-1:], p[0], p[1])


def _attention(p, x):
    b, t, c = x.shape
    q, k, v = (y.view(b, t, HEADS, c // HEADS).transpose(1, 2) for y in (x @ p["qkv"]).chunk(3, -1))
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return y.transpose(1, 2).reshape(b, t, c) @ p["out"]


@program()
def gpt_forward(params, tokens):
    x = F.embedding(tokens, params["tokens"]) + params["positions"][: tokens.shape[1]]
    for p in params["blocks"]:
        x = x + _attention(p, _norm(x, p["norm1"]))
        x = x + F.gelu(_norm(x, p["norm2"]) @ p["up"], approximate="tanh") @ p["down"]
    return _norm(x, params["norm"]) @ params["tokens"].T


@program("gpt_train_4")
@program("gpt_train_12")
def adam(params, m, v, t, tokens, targets):
    def loss(params):
        return F.cross_entropy(gpt_forward(params, tokens).flatten(0, 1), targets.flatten().long())

    value, grads = value_and_grad(loss)(params)
    m = pytree.tree_map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
    v = pytree.tree_map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
    scale = torch.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    params = pytree.tree_map(lambda p, m, v: p - 1e-3 * scale * m / (v.sqrt() + 1e-8), params, m, v)
    return params, m, v, value


def _features(x, weights):
    for w in weights:
        x = F.max_pool2d(F.relu(F.conv2d(x, w, padding=1)), 2)
    return x


def _nchw(params, x):
    return _features(x, params[:-1]).flatten(1) @ params[-1]


def _nhwc(params, x):
    return _features(x.permute(0, 3, 1, 2), params[:-1]).permute(0, 2, 3, 1).flatten(1) @ params[-1]


def _step(forward, params, x, y):
    value, grads = value_and_grad(lambda p: F.cross_entropy(forward(p, x), y))(params)
    return [p - 0.01 * g for p, g in zip(params, grads)], value


@program()
def cnn_forward(params, x):
    return _nchw(params, x)


@program()
def cnn_forward_nhwc(params, x):
    return _nhwc(params, x)


@program()
def cnn_train(params, x, y):
    return _step(_nchw, params, x, y)


@program()
def cnn_train_nhwc(params, x, y):
    return _step(_nhwc, params, x, y)


@program()
def depthwise(x, w):
    return F.conv2d(x, w, padding=1, groups=64)


@program()
def convolution_1d(x, w):
    return F.conv1d(x, w, padding=2)
