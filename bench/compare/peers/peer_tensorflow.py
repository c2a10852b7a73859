# SPDX-License-Identifier: MIT
"""TensorFlow on the CPU: eager ops, and tf.function with and without XLA for chains and steps."""

import cases
import numpy as np
import tensorflow as tf


def start(threads):
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    tf.config.set_visible_devices([], "GPU")


def version():
    return tf.__version__


def load(array):
    return tf.constant(array)


def save(result):
    return np.asarray(result)


def bce(x, u):
    p = tf.sigmoid(x)
    return -(u * tf.math.log(p) + (1 - u) * tf.math.log(1 - p))


def gelu(x):
    return 0.5 * x * (1 + tf.tanh(0.7978845608028654 * (x + 0.044715 * (x * x * x))))


FUNCTIONS = {
    "add": lambda a, b: a + b,
    "multiply": lambda a, b: a * b,
    "relu": tf.nn.relu,
    "cast": lambda d: tf.cast(d, tf.float32),
    "broadcast": lambda column, row: column + row,
    "gather": tf.gather,
    "exp": tf.exp,
    "sigmoid": tf.sigmoid,
    "tanh": tf.tanh,
    "muladd": lambda a, b, c: a * b + c,
    "bce": bce,
    "gelu": gelu,
    "where": lambda x, a, b: tf.where(x > 0, a, b),
    "select": lambda x: tf.boolean_mask(x, x > 0),
    "sum": tf.reduce_sum,
    "sum0": lambda rows: tf.reduce_sum(rows, 0),
    "sum1": lambda rows: tf.reduce_sum(rows, 1),
    "mean": tf.reduce_mean,
    "mean0": lambda rows: tf.reduce_mean(rows, 0),
    "mean1": lambda rows: tf.reduce_mean(rows, 1),
    "max": tf.reduce_max,
    "max0": lambda rows: tf.reduce_max(rows, 0),
    "max1": lambda rows: tf.reduce_max(rows, 1),
    "softmax": tf.nn.softmax,
    "transpose": tf.transpose,
    "matmul": tf.matmul,
}
CHAINS = ("muladd", "bce", "gelu", "where", "softmax")


def eager(function):
    return lambda *operands: lambda: function(*operands)


def traced(function, xla):
    def make(*operands):
        run = tf.function(function, jit_compile=xla)
        return lambda: run(*operands)

    return make


def one(p, q):
    def call():
        for _ in range(cases.MANY):
            result = p + q
        return result

    return call


def sgd_update(w, momentum, g, _):
    momentum.assign(cases.MOMENTUM * momentum + g)
    w.assign_sub(cases.RATE * momentum)


def adam_update(w, m, v, g, t):
    m.assign(0.9 * m + 0.1 * g)
    v.assign(0.999 * v + 0.001 * (g * g))
    w.assign_sub(0.001 / (1 - 0.9**t) * m / (tf.sqrt(v) / tf.sqrt(1 - 0.999**t) + 1e-8))


def cells(value, slots):
    return [tf.Variable(value)] + [tf.Variable(tf.zeros_like(value)) for _ in range(slots)]


def adam(xla):
    def make(w, g):
        state, t = cells(w, 2), tf.Variable(0.0)

        @tf.function(jit_compile=xla)
        def call():
            adam_update(*state, g, t.assign_add(1))

        return call, lambda: state[0]

    return make


def step(change, slots, xla):
    def make(x, labels, *weights):
        state, t = [cells(w, slots) for w in weights], tf.Variable(0.0)
        labels = tf.cast(labels, tf.int32)

        @tf.function(jit_compile=xla)
        def call():
            with tf.GradientTape() as tape:
                y = x
                for k in range(0, len(state), 2):
                    y = y @ state[k][0] + state[k + 1][0]
                    if k + 2 < len(state):
                        y = tf.nn.relu(y)
                loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, y))
            gradients = tape.gradient(loss, [s[0] for s in state])
            now = t.assign_add(1)
            for s, g in zip(state, gradients):
                change(*s, g, now)

        return call, lambda: state[0][0]

    return make


OPS = {op: {"eager": eager(function)} for op, function in FUNCTIONS.items()}
for _op in CHAINS:
    OPS[_op].update({"function": traced(FUNCTIONS[_op], False), "XLA": traced(FUNCTIONS[_op], True)})
OPS["one"] = {"eager": one}
OPS["adam"] = {"function": adam(False), "XLA": adam(True)}
OPS["sgd_step"] = {"function": step(sgd_update, 1, False), "XLA": step(sgd_update, 1, True)}
OPS["adam_step"] = {"function": step(adam_update, 2, False), "XLA": step(adam_update, 2, True)}
