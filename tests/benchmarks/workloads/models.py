"""Train steps of models: a GPT of 4 and of 12 layers, a convolutional network."""

from __future__ import annotations

import numpy as np

from tests.benchmarks.workloads.registry import rng, workload


def _gpt(fw, jnp, layers, width=256, heads=8, length=128, batch=8, vocabulary=512):
    random = rng()

    def weights(*shape):
        return jnp.asarray((random.standard_normal(shape) * 0.02).astype(np.float32))

    def ones(n):
        return jnp.asarray(np.ones(n, np.float32))

    def zeros(n):
        return jnp.asarray(np.zeros(n, np.float32))

    blocks = [
        {
            "norm1": (ones(width), zeros(width)),
            "qkv": weights(width, 3 * width),
            "out": weights(width, width),
            "norm2": (ones(width), zeros(width)),
            "up": weights(width, 4 * width),
            "down": weights(4 * width, width),
        }
        for _ in range(layers)
    ]
    params = {
        "tokens": weights(vocabulary, width),
        "positions": weights(length, width),
        "blocks": blocks,
        "norm": (ones(width), zeros(width)),
    }

    def norm(x, p):
        mean = x.mean(-1, keepdims=True)
        var = ((x - mean) ** 2).mean(-1, keepdims=True)
        return (x - mean) * fw.lax.rsqrt(var + 1e-5) * p[0] + p[1]

    def attention(p, x):
        b, t, c = x.shape
        q, k, v = jnp.split(x @ p["qkv"], 3, axis=-1)
        q, k, v = (y.reshape(b, t, heads, c // heads).transpose(0, 2, 1, 3) for y in (q, k, v))
        scores = q @ k.transpose(0, 1, 3, 2) / (c // heads) ** 0.5
        scores = jnp.where(jnp.tril(jnp.ones((t, t), bool)), scores, -1e9)
        y = fw.nn.softmax(scores, axis=-1) @ v
        return y.transpose(0, 2, 1, 3).reshape(b, t, c) @ p["out"]

    def forward(params, tokens):
        x = params["tokens"][tokens] + params["positions"][: tokens.shape[1]]
        for p in params["blocks"]:
            x = x + attention(p, norm(x, p["norm1"]))
            x = x + fw.nn.gelu(norm(x, p["norm2"]) @ p["up"]) @ p["down"]
        return norm(x, params["norm"]) @ params["tokens"].T

    def loss(params, tokens, targets):
        logp = fw.nn.log_softmax(forward(params, tokens))
        return -jnp.take_along_axis(logp, targets[..., None], axis=-1).mean()

    def adam(params, m, v, t, tokens, targets):
        value, grads = fw.value_and_grad(loss)(params, tokens, targets)
        tree_map = fw.tree_util.tree_map
        m = tree_map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
        v = tree_map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
        scale = jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        params = tree_map(lambda p, m, v: p - 1e-3 * scale * m / (jnp.sqrt(v) + 1e-8), params, m, v)
        return params, m, v, value

    tokens = random.integers(0, vocabulary, (batch, length + 1)).astype(np.int32)
    state = [fw.tree_util.tree_map(lambda x: jnp.zeros_like(x), params) for _ in range(2)]
    batch_args = (jnp.asarray(tokens[:, :-1]), jnp.asarray(tokens[:, 1:]))
    return forward, adam, params, (params, *state, jnp.asarray(np.float32(1)), *batch_args)


@workload(repeat=7)
def gpt_forward(fw, jnp):
    forward, _, params, args = _gpt(fw, jnp, 4)
    return fw.jit(forward), (params, args[4])


@workload(repeat=5)
def gpt_train_4(fw, jnp):
    _, adam, _, args = _gpt(fw, jnp, 4)
    return fw.jit(adam), args


@workload(repeat=3)
def gpt_train_12(fw, jnp):
    _, adam, _, args = _gpt(fw, jnp, 12)
    return fw.jit(adam), args


def _cnn(fw, jnp, layout):
    random = rng()

    def weights(*shape):
        fan_in = int(np.prod(shape[1:]))
        return jnp.asarray((random.standard_normal(shape) / fan_in**0.5).astype(np.float32))

    params = (weights(32, 3, 3, 3), weights(64, 32, 3, 3), weights(4096, 10))
    channels = layout.index("C")
    window = tuple(2 if d in "HW" else 1 for d in layout)

    def forward(params, x):
        for w in params[:-1]:
            x = fw.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=(layout, "OIHW", layout))
            x = fw.nn.relu(x)
            x = fw.lax.reduce_window(x, -jnp.inf, fw.lax.max, window, window, "VALID")
        return x.reshape(x.shape[0], -1) @ params[-1]

    def step(params, x, y):
        def loss(params):
            return -jnp.mean(jnp.sum(fw.nn.log_softmax(forward(params, x)) * y, axis=-1))

        value, grads = fw.value_and_grad(loss)(params)
        return [p - 0.01 * g for p, g in zip(params, grads)], value

    shape = [64, 32, 32, 32]
    shape[channels] = 3
    x = jnp.asarray(random.standard_normal(shape).astype(np.float32))
    y = jnp.asarray(np.eye(10, dtype=np.float32)[random.integers(0, 10, 64)])
    return forward, step, params, x, y


@workload(repeat=10)
def cnn_forward(fw, jnp):
    forward, _, params, x, _ = _cnn(fw, jnp, "NCHW")
    return fw.jit(forward), (params, x)


@workload(repeat=10)
def cnn_forward_nhwc(fw, jnp):
    forward, _, params, x, _ = _cnn(fw, jnp, "NHWC")
    return fw.jit(forward), (params, x)


@workload(repeat=7)
def cnn_train(fw, jnp):
    _, step, *args = _cnn(fw, jnp, "NCHW")
    return fw.jit(step), tuple(args)


@workload(repeat=7)
def cnn_train_nhwc(fw, jnp):
    _, step, *args = _cnn(fw, jnp, "NHWC")
    return fw.jit(step), tuple(args)


@workload(repeat=10)
def depthwise(fw, jnp):
    def forward(x, w):
        return fw.lax.conv_general_dilated(x, w, (1, 1), "SAME", feature_group_count=64)

    random = rng()
    x, w = random.standard_normal((16, 64, 32, 32)), random.standard_normal((64, 1, 3, 3))
    return fw.jit(forward), (jnp.asarray(x.astype(np.float32)), jnp.asarray(w.astype(np.float32)))


@workload(repeat=10)
def convolution_1d(fw, jnp):
    def forward(x, w):
        return fw.lax.conv_general_dilated(x, w, (1,), "SAME", dimension_numbers=("NCH", "OIH", "NCH"))

    random = rng()
    x, w = random.standard_normal((16, 32, 1024)), random.standard_normal((64, 32, 5))
    return fw.jit(forward), (jnp.asarray(x.astype(np.float32)), jnp.asarray(w.astype(np.float32)))
