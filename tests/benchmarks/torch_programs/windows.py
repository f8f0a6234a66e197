"""PyTorch programs: windows over images, and changes of layout. Arrays with channels last are tensors whose memory has
them last (`permute`), as PyTorch's users have them."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tests.benchmarks.torch_programs.registry import grad, program

FIRST, LAST = (0, 3, 1, 2), (0, 2, 3, 1)


@program()
def max_pool(x):
    return F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-torch.inf), 3, 2)


@program()
def max_pool_nhwc(x):
    return max_pool(x.permute(FIRST)).permute(LAST).contiguous()


@program()
def max_pool_grad(x):
    return grad(lambda x: (max_pool(x) ** 2).sum())(x)


@program()
def max_pool_grad_nhwc(x):
    return max_pool_grad(x.permute(FIRST)).permute(LAST).contiguous()


@program()
def sum_pool_nhwc(x):
    x = F.pad(x.permute(FIRST), (0, 1, 0, 1))
    return F.avg_pool2d(x, 3, 2, divisor_override=1).permute(LAST).contiguous()


@program()
def sum_pool_grad_nhwc(x):
    return grad(lambda x: (sum_pool_nhwc(x) ** 2).sum())(x)


@program()
def convolution(x, w):
    return F.conv2d(x, w, padding=1)


@program()
def convolution_nhwc(x, w):
    return F.conv2d(x.permute(FIRST), w.permute(3, 2, 0, 1), padding=1).permute(LAST).contiguous()


@program()
def convolution_grad_nhwc(x, w):
    return grad(lambda x, w: (convolution_nhwc(x, w) ** 2).sum(), (0, 1))(x, w)


@program()
def permute_heads(x):
    return x.permute(0, 2, 1, 3).contiguous()


@program()
def to_channels_first(x):
    return x.permute(FIRST).contiguous()


@program()
def to_channels_last(x):
    return x.permute(LAST).contiguous()
