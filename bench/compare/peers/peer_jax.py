# SPDX-License-Identifier: MIT
"""JAX on the CPU: everything in jax.jit, waited for; state is donated, so that it is updated in place."""

import cases
import jax
import jax.numpy as jnp
import numpy as np


def start(_):
    """Threads are told by the environment."""


def version():
    return jax.__version__


def load(array):
    return jnp.array(array)


def save(result):
    return np.asarray(result)


def sigmoid(x):
    return 1 / (1 + jnp.exp(-x))


def bce(x, u):
    p = sigmoid(x)
    return -(u * jnp.log(p) + (1 - u) * jnp.log(1 - p))


def gelu(x):
    return 0.5 * x * (1 + jnp.tanh(0.7978845608028654 * (x + 0.044715 * (x * x * x))))


FUNCTIONS = {
    "add": lambda a, b: a + b,
    "multiply": lambda a, b: a * b,
    "relu": lambda x: jnp.maximum(x, 0),
    "cast": lambda d: d.astype(jnp.float32),
    "broadcast": lambda column, row: column + row,
    "gather": lambda table, index: jnp.take(table, index, axis=0, mode="clip"),
    "exp": jnp.exp,
    "sigmoid": sigmoid,
    "tanh": jnp.tanh,
    "muladd": lambda a, b, c: a * b + c,
    "bce": bce,
    "gelu": gelu,
    "where": lambda x, a, b: jnp.where(x > 0, a, b),
    "sum": jnp.sum,
    "sum0": lambda rows: rows.sum(0),
    "sum1": lambda rows: rows.sum(1),
    "mean": jnp.mean,
    "mean0": lambda rows: rows.mean(0),
    "mean1": lambda rows: rows.mean(1),
    "max": jnp.max,
    "max0": lambda rows: rows.max(0),
    "max1": lambda rows: rows.max(1),
    "softmax": lambda square: jax.nn.softmax(square, axis=1),
    "transpose": lambda square: square.T + 0,  # a copy, where a bare transpose could be a change of layout
    "matmul": jnp.matmul,
}


def jitted(function):
    def make(*operands):
        run = jax.jit(function)
        return lambda: run(*operands).block_until_ready()

    return {"jit": make}


def one(p, q):
    run = jax.jit(jnp.add)

    def call():
        for _ in range(cases.MANY):
            result = run(p, q)
        return result.block_until_ready()

    return call


def adam_update(w, m, v, g, t):
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * (g * g)
    step = 0.001 / (1 - 0.9**t) * m / (jnp.sqrt(v) / jnp.sqrt(1 - 0.999**t) + 1e-8)
    return w - step, m, v


def run_in_place(update, state, *given):
    """A call that replaces the state; update(state, t, *given) gives the new one."""
    run = jax.jit(update, donate_argnums=0)
    t = 0

    def call():
        nonlocal state, t
        t += 1
        state = run(state, np.float32(t), *given)
        jax.block_until_ready(state)

    return call, lambda: state[0][0]


def adam(w, g):
    def update(state, t, g):
        return [adam_update(*state[0], g, t)]

    return run_in_place(update, [(w, jnp.zeros_like(w), jnp.zeros_like(w))], g)


def loss_of(weights, x, labels):
    for k in range(0, len(weights), 2):
        x = x @ weights[k] + weights[k + 1]
        if k + 2 < len(weights):
            x = jnp.maximum(x, 0)
    return -jnp.take_along_axis(jax.nn.log_softmax(x), labels[:, None], 1).mean()


def step(change, n_slots):
    def update(state, t, x, labels):
        gradients = jax.grad(loss_of)([s[0] for s in state], x, labels)
        return [change(*s, g, t) for s, g in zip(state, gradients)]

    def make(x, labels, *weights):
        state = [(w, *(jnp.zeros_like(w) for _ in range(n_slots))) for w in weights]
        return run_in_place(update, state, x, labels)

    return {"jit": make}


def sgd_update(w, momentum, g, _):
    momentum = cases.MOMENTUM * momentum + g
    return w - cases.RATE * momentum, momentum


OPS = {op: jitted(function) for op, function in FUNCTIONS.items()}
OPS["one"] = {"jit": one}
OPS["adam"] = {"jit": adam}
OPS["sgd_step"] = step(sgd_update, 1)
OPS["adam_step"] = step(adam_update, 2)
