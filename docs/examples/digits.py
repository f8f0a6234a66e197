"""Learn to read handwritten digits: a small convolutional network as pure functions.

Run `python docs/examples/digits.py`. It trains on 1,437 of scikit-learn's 8x8 images, tells how many of the
360 others it reads right, and draws the loss and some readings to digits.png.
"""

import time

import matplotlib
import numpy as np
from sklearn.datasets import load_digits
from tqdm import trange

import funcgrad as fg
import funcgrad.numpy as fnp

EPOCHS, BATCH, RATE = 16, 64, 3e-3

# 1. The model is a function of parameters and of ONE image; the parameters are a plain dictionary of arrays.


def init(key):
    shapes = {"conv1": (9 * 1, 16), "conv2": (9 * 16, 32), "dense": (4 * 4 * 32, 10)}
    keys = fg.random.split(key, len(shapes))
    weight = fg.nn.initializers.he_normal()
    return {name: (weight(k, s), fnp.zeros(s[1])) for k, (name, s) in zip(keys, shapes.items())}


def conv3x3(weight, bias, x):
    """Nine shifted copies of the image, side by side as channels, times a matrix."""
    rows, columns, _ = x.shape
    x = fnp.pad(x, ((1, 1), (1, 1), (0, 0)))
    shifted = [x[i : i + rows, j : j + columns] for i in range(3) for j in range(3)]
    return fnp.concatenate(shifted, axis=-1) @ weight + bias


def scores(params, image):
    """How much the image looks like each of the ten digits."""
    x = fg.nn.relu(conv3x3(*params["conv1"], image[:, :, None]))
    x = fg.nn.relu(conv3x3(*params["conv2"], x))
    x = x.reshape(4, 2, 4, 2, 32).max(axis=(1, 3))  # the largest of each 2x2 block
    weight, bias = params["dense"]
    return x.reshape(-1) @ weight + bias


# 2. vmap turns the function of one image into one of a batch; value_and_grad gives the slope of the loss.

batch_scores = fg.vmap(scores, in_axes=(None, 0))


def loss(params, images, labels):
    log_probability = fg.nn.log_softmax(batch_scores(params, images))
    return -fnp.mean(fnp.sum(fg.nn.one_hot(labels, 10) * log_probability, axis=1))


# 3. jit compiles a whole training step: the loss, its gradient, and Adam (Kingma and Ba 2015).


@fg.jit
def step(params, mean, square, count, images, labels):
    value, grad = fg.value_and_grad(loss)(params, images, labels)
    count = count + 1
    mean = fg.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, grad)
    square = fg.tree.map(lambda s, g: 0.999 * s + 0.001 * g * g, square, grad)
    rate = RATE * fnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
    params = fg.tree.map(lambda p, m, s: p - rate * m / (fnp.sqrt(s) + 1e-8), params, mean, square)
    return params, mean, square, count, value


predict = fg.jit(lambda params, images: fnp.argmax(batch_scores(params, images), axis=1))


def main():
    digits, shuffle = load_digits(), np.random.default_rng(0)
    order = shuffle.permutation(len(digits.target))
    images = (digits.images[order] / 16).astype(np.float32)
    labels = digits.target[order]
    train, test = slice(360, None), slice(0, 360)

    params = init(fg.random.key(0))
    zeros = fg.tree.map(fnp.zeros_like, params)
    state, losses, times = (params, zeros, zeros, 0.0), [], []
    count = len(labels[train])
    for _ in (bar := trange(EPOCHS, unit="epoch")):
        order = shuffle.permutation(count)
        for start in range(0, count - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            began = time.perf_counter()
            *state, value = step(*state, images[train][chosen], labels[train][chosen])
            losses.append(float(value))
            times.append(time.perf_counter() - began)
        bar.set_postfix(loss=f"{np.mean(losses[-20:]):.4f}")

    read = np.asarray(predict(state[0], images[test]))
    accuracy = np.mean(read == labels[test])
    print(f"held-out digits read right: {accuracy:.2%} of {len(read)}")
    print(f"tracing and compiling: {times[0]:.2f} s; then {np.median(times) * 1e3:.2f} ms per step")
    draw(losses, images[test], labels[test], read)
    return accuracy


def draw(losses, images, labels, read, path="digits.png"):
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subfigures(1, 2)
    curve = left.subplots()
    curve.semilogy(losses, linewidth=0.7)
    curve.set(xlabel="step", ylabel="loss", title="training")
    right.suptitle("held-out digits, as read (red: wrong)")
    wrong_first = np.argsort(read == labels, kind="stable")
    for axes, i in zip(right.subplots(4, 6).flat, wrong_first):
        axes.imshow(images[i], cmap="gray_r")
        axes.set_title(read[i], color="black" if read[i] == labels[i] else "red", fontsize=9)
        axes.axis("off")
    figure.savefig(path, dpi=120)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
