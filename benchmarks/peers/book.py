"""The CNN of "Deep Learning from Scratch" (K. Saitoh, O'Reilly Japan 2016), chapter 7, class by class.

The rival that a reader of the book has: a class with forward and backward for each layer, wired up by hand,
parameters in dictionaries. Written after the book's listings, and kept as slow as they are (in float64, as they are).
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import cycle

import numpy as np


def im2col(input_data, filter_h, filter_w, stride=1, pad=0):
    n, c, h, w = input_data.shape
    out_h = (h + 2 * pad - filter_h) // stride + 1
    out_w = (w + 2 * pad - filter_w) // stride + 1
    img = np.pad(input_data, [(0, 0), (0, 0), (pad, pad), (pad, pad)], "constant")
    col = np.zeros((n, c, filter_h, filter_w, out_h, out_w))
    for y in range(filter_h):
        y_max = y + stride * out_h
        for x in range(filter_w):
            x_max = x + stride * out_w
            col[:, :, y, x, :, :] = img[:, :, y:y_max:stride, x:x_max:stride]
    return col.transpose(0, 4, 5, 1, 2, 3).reshape(n * out_h * out_w, -1)


def col2im(col, input_shape, filter_h, filter_w, stride=1, pad=0):
    n, c, h, w = input_shape
    out_h = (h + 2 * pad - filter_h) // stride + 1
    out_w = (w + 2 * pad - filter_w) // stride + 1
    col = col.reshape(n, out_h, out_w, c, filter_h, filter_w).transpose(0, 3, 4, 5, 1, 2)
    img = np.zeros((n, c, h + 2 * pad + stride - 1, w + 2 * pad + stride - 1))
    for y in range(filter_h):
        y_max = y + stride * out_h
        for x in range(filter_w):
            x_max = x + stride * out_w
            img[:, :, y:y_max:stride, x:x_max:stride] += col[:, :, y, x, :, :]
    return img[:, :, pad : h + pad, pad : w + pad]


class Relu:
    def forward(self, x):
        self.mask = x <= 0
        out = x.copy()
        out[self.mask] = 0
        return out

    def backward(self, dout):
        dout[self.mask] = 0
        return dout


class Affine:
    def __init__(self, weight, bias):
        self.weight, self.bias = weight, bias

    def forward(self, x):
        self.original_x_shape = x.shape
        self.x = x.reshape(x.shape[0], -1)
        return np.dot(self.x, self.weight) + self.bias

    def backward(self, dout):
        dx = np.dot(dout, self.weight.T)
        self.d_weight = np.dot(self.x.T, dout)
        self.d_bias = np.sum(dout, axis=0)
        return dx.reshape(*self.original_x_shape)


class Convolution:
    def __init__(self, weight, bias, stride=1, pad=0):
        self.weight, self.bias, self.stride, self.pad = weight, bias, stride, pad

    def forward(self, x):
        fn, _, fh, fw = self.weight.shape
        n, _, h, w = x.shape
        out_h = 1 + int((h + 2 * self.pad - fh) / self.stride)
        out_w = 1 + int((w + 2 * self.pad - fw) / self.stride)
        col = im2col(x, fh, fw, self.stride, self.pad)
        col_w = self.weight.reshape(fn, -1).T
        out = np.dot(col, col_w) + self.bias
        self.x, self.col, self.col_w = x, col, col_w
        return out.reshape(n, out_h, out_w, -1).transpose(0, 3, 1, 2)

    def backward(self, dout):
        fn, c, fh, fw = self.weight.shape
        dout = dout.transpose(0, 2, 3, 1).reshape(-1, fn)
        self.d_bias = np.sum(dout, axis=0)
        self.d_weight = np.dot(self.col.T, dout).transpose(1, 0).reshape(fn, c, fh, fw)
        dcol = np.dot(dout, self.col_w.T)
        return col2im(dcol, self.x.shape, fh, fw, self.stride, self.pad)


class Pooling:
    def __init__(self, pool_h, pool_w, stride=2, pad=0):
        self.pool_h, self.pool_w, self.stride, self.pad = pool_h, pool_w, stride, pad

    def forward(self, x):
        n, c, h, w = x.shape
        out_h = int(1 + (h - self.pool_h) / self.stride)
        out_w = int(1 + (w - self.pool_w) / self.stride)
        col = im2col(x, self.pool_h, self.pool_w, self.stride, self.pad).reshape(-1, self.pool_h * self.pool_w)
        self.x, self.arg_max = x, np.argmax(col, axis=1)
        return np.max(col, axis=1).reshape(n, out_h, out_w, c).transpose(0, 3, 1, 2)

    def backward(self, dout):
        dout = dout.transpose(0, 2, 3, 1)
        pool_size = self.pool_h * self.pool_w
        dmax = np.zeros((dout.size, pool_size))
        dmax[np.arange(self.arg_max.size), self.arg_max.flatten()] = dout.flatten()
        dmax = dmax.reshape((*dout.shape, pool_size))
        dcol = dmax.reshape(dmax.shape[0] * dmax.shape[1] * dmax.shape[2], -1)
        return col2im(dcol, self.x.shape, self.pool_h, self.pool_w, self.stride, self.pad)


class SoftmaxWithLoss:
    def forward(self, x, t):
        shifted = x - np.max(x, axis=-1, keepdims=True)
        self.t, self.y = t, np.exp(shifted) / np.sum(np.exp(shifted), axis=-1, keepdims=True)
        return -np.sum(np.log(self.y[np.arange(len(t)), t] + 1e-7)) / len(t)

    def backward(self, dout=1):
        dx = self.y.copy()
        dx[np.arange(len(self.t)), self.t] -= 1
        return dx / len(self.t)


class Adam:
    def __init__(self, lr=0.001, beta1=0.9, beta2=0.999):
        self.lr, self.beta1, self.beta2, self.iter, self.m, self.v = lr, beta1, beta2, 0, None, None

    def update(self, params, grads):
        if self.m is None:
            self.m = {key: np.zeros_like(value) for key, value in params.items()}
            self.v = {key: np.zeros_like(value) for key, value in params.items()}
        self.iter += 1
        lr_t = self.lr * np.sqrt(1.0 - self.beta2**self.iter) / (1.0 - self.beta1**self.iter)
        for key in params:
            self.m[key] += (1 - self.beta1) * (grads[key] - self.m[key])
            self.v[key] += (1 - self.beta2) * (grads[key] ** 2 - self.v[key])
            params[key] -= lr_t * self.m[key] / (np.sqrt(self.v[key]) + 1e-7)


class SimpleConvNet:
    """conv - relu - pool - affine - relu - affine - softmax, on 28x28 images."""

    def __init__(self, params):
        self.params = p = params
        self.layers = OrderedDict(
            Conv1=Convolution(p["W1"], p["b1"]),
            Relu1=Relu(),
            Pool1=Pooling(2, 2),
            Affine1=Affine(p["W2"], p["b2"]),
            Relu2=Relu(),
            Affine2=Affine(p["W3"], p["b3"]),
        )
        self.last_layer = SoftmaxWithLoss()
        self.optimizer = Adam()

    def gradient(self, x, t):
        for layer in self.layers.values():
            x = layer.forward(x)
        self.loss = self.last_layer.forward(x, t)
        dout = self.last_layer.backward()
        for layer in reversed(self.layers.values()):
            dout = layer.backward(dout)
        grads = {}
        for number, name in enumerate(("Conv1", "Affine1", "Affine2"), start=1):
            grads[f"W{number}"], grads[f"b{number}"] = self.layers[name].d_weight, self.layers[name].d_bias
        return grads

    def train_step(self, x, t):
        self.optimizer.update(self.params, self.gradient(x, t))
        return self.loss


def step(parameters, images, labels, threads):
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads)
    params = {}
    for number, name in enumerate(("0", "4", "6"), start=1):
        weight = parameters[f"{name}.weight"].astype(float)
        params[f"W{number}"] = weight if weight.ndim == 4 else np.ascontiguousarray(weight.T)
        params[f"b{number}"] = parameters[f"{name}.bias"].astype(float)
    net, images, targets = SimpleConvNet(params), images.astype(float), cycle(labels)
    return lambda: net.train_step(images, next(targets))
