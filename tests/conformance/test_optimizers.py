# SPDX-License-Identifier: MIT
"""Optimizers against PyTorch, in float64: a hundred steps on three problems, each option, every step.

Where PyTorch has no such method or form (Lion, TensorFlow's forms, decoupled decay beside SGD), the
oracle is its formula from the paper or from Keras' documentation, written in NumPy here."""

import ctypes
import warnings

import numpy as np
import pytest

from library import Failure, Scope, lib, sizes

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it was built for NumPy 1, and says so
    import torch

STEPS, WITHIN = 100, 1e-6
F64 = 12
_p, _int, _double, _bool = ctypes.c_void_p, ctypes.c_int, ctypes.c_double, ctypes.c_bool


def _declare(name, result, *arguments):
    function = getattr(lib, name)
    function.restype, function.argtypes = result, arguments


_declare("tv_variable_new_from_memory", _p, _p, _int, _int, _p, _p)
_declare("tv_variable_release", None, _p)
_declare("tv_read", _p, _p)
_declare("tv_optimizer_step", _int, _p, _int, _p, _p)
_declare("tv_optimizer_slot", _p, _p, _p, ctypes.c_char_p)
_declare("tv_optimizer_release", None, _p)


def _options(name, *fields):
    """As in optimizer.h: the doubles and truths that a struct of options is made of."""
    tail = [("weight_decay", _double), ("decoupled_decay", _double), ("maximize", _bool), ("lazy", _bool)]
    kind = type(name, (ctypes.Structure,), {"_fields_": [("size", ctypes.c_size_t)] + list(fields) + tail})
    _declare(f"tv_{name}_new", _p, _p)
    return kind


def _d(*names):
    return [(name, _double) for name in names]


def _b(*names):
    return [(name, _bool) for name in names]


SGD = _options("sgd", *_d("learning_rate", "momentum"), *_b("nesterov"), *_d("dampening"), *_b("rate_in_momentum"))
ADAM = _options("adam", *_d("learning_rate", "beta1", "beta2", "epsilon"), *_b("epsilon_hat", "amsgrad"))
_declare("tv_adamw_new", _p, _p)
RMSPROP = _options("rmsprop", *_d("learning_rate", "decay", "epsilon", "momentum"),
                   *_b("centered", "epsilon_inside", "rate_in_momentum"))
ADAGRAD = _options("adagrad", *_d("learning_rate", "rate_decay", "initial", "epsilon"), *_b("epsilon_inside"))
ADADELTA = _options("adadelta", *_d("learning_rate", "decay", "epsilon"))
LION = _options("lion", *_d("learning_rate", "beta1", "beta2"))


class Ours:
    """One Variable and its optimizer."""

    def __init__(self, new, options, w):
        self.shape = w.shape
        self.v = lib.tv_variable_new_from_memory(np.ascontiguousarray(w).ctypes.data, F64, w.ndim,
                                                 sizes(w.shape), None)
        options.size = ctypes.sizeof(options)
        self.o = getattr(lib, new)(ctypes.byref(options))
        assert self.v and self.o, lib.tv_error_text().decode()

    def _numpy(self, x):
        out = np.empty(self.shape)
        lib.tv_tensor_copy_out(x, out.ctypes.data, out.nbytes)
        return out

    def step(self, g):
        g = np.ascontiguousarray(g)
        with Scope():
            t = lib.tv_tensor_from_memory(g.ctypes.data, F64, g.ndim, sizes(g.shape), None)
            lib.tv_optimizer_step(self.o, 1, ctypes.byref(_p(self.v)), ctypes.byref(_p(t)))
        return self.w()

    def w(self):
        with Scope():
            return self._numpy(lib.tv_read(self.v))

    def slot(self, name):
        with Scope():
            return self._numpy(lib.tv_optimizer_slot(self.o, self.v, name.encode()))

    def __del__(self):
        lib.tv_optimizer_release(self.o)
        lib.tv_variable_release(self.v)


# Problems: where to begin, and the gradient at w in step t --------------------------------------

_rng = np.random.default_rng(7)
_q = np.linalg.qr(_rng.normal(size=(6, 6)))[0]
_curvatures = _q @ np.diag([.05, .2, .7, 1, 2, 4]) @ _q.T
_x, _label = _rng.normal(size=(40, 5)), (_rng.random(40) < .5) * 1.


def _rosenbrock(w, t):
    x, y = w
    return np.array([-2 * (1 - x) - 40 * x * (y - x * x), 20 * (y - x * x)])


def _logistic(w, t):
    """Batches of 10, so that gradients are noisy; one weight has none for the first 20 steps."""
    rows = slice(t % 4 * 10, t % 4 * 10 + 10)
    p = 1 / (1 + np.exp(-_x[rows] @ w))
    g = _x[rows].T @ (p - _label[rows]) / 10
    g[4] *= t >= 20
    return g


PROBLEMS = {
    "quadratic": (_rng.normal(size=6), lambda w, t: _curvatures @ w),
    "rosenbrock": (np.array([-1.2, 1.]), _rosenbrock),
    "logistic": (_rng.normal(size=5), _logistic),
}


def theirs(make, w):
    """PyTorch's steps as a function of the gradient."""
    p = torch.nn.Parameter(torch.tensor(w.tolist(), dtype=torch.float64))
    o = make([p])

    def step(g):
        p.grad = torch.tensor(g.tolist(), dtype=torch.float64)
        o.step()
        return np.array(p.detach().tolist())
    return step, o, p


def differ(a, b):
    return np.max(np.abs(a - b) / np.maximum(1, np.abs(b)))


def run(new, options, problem, step_of):
    """Each side follows its own gradients, so an error would grow."""
    w, gradient = PROBLEMS[problem]
    ours, reference = Ours(new, options, w), step_of(w)
    a = b = w
    for t in range(STEPS):
        a, b = ours.step(gradient(a, t)), reference(gradient(b, t))
        assert np.all(np.isfinite(a)), t
        assert differ(a, b) < WITHIN, (t, a, b)
    return ours


T = torch.optim
AGAINST_PYTORCH = {
    "sgd": ("tv_sgd_new", SGD(learning_rate=.01), lambda p: T.SGD(p, lr=.01)),
    "sgd momentum": ("tv_sgd_new", SGD(learning_rate=.01, momentum=.9), lambda p: T.SGD(p, lr=.01, momentum=.9)),
    "sgd dampening": ("tv_sgd_new", SGD(learning_rate=.01, momentum=.9, dampening=.3),
                      lambda p: T.SGD(p, lr=.01, momentum=.9, dampening=.3)),
    "sgd nesterov": ("tv_sgd_new", SGD(learning_rate=.005, momentum=.9, nesterov=True),
                     lambda p: T.SGD(p, lr=.005, momentum=.9, nesterov=True)),
    "sgd decay": ("tv_sgd_new", SGD(learning_rate=.01, momentum=.9, weight_decay=.1),
                  lambda p: T.SGD(p, lr=.01, momentum=.9, weight_decay=.1)),
    "sgd decay only": ("tv_sgd_new", SGD(learning_rate=.01, weight_decay=.1),
                       lambda p: T.SGD(p, lr=.01, weight_decay=.1)),
    "adam": ("tv_adam_new", ADAM(learning_rate=.02, beta1=.9, beta2=.999, epsilon=1e-8),
             lambda p: T.Adam(p, lr=.02)),
    "adam betas": ("tv_adam_new", ADAM(learning_rate=.02, beta1=.8, beta2=.95, epsilon=1e-3),
                   lambda p: T.Adam(p, lr=.02, betas=(.8, .95), eps=1e-3)),
    "adam decay": ("tv_adam_new", ADAM(learning_rate=.02, beta1=.9, beta2=.999, epsilon=1e-8, weight_decay=.1),
                   lambda p: T.Adam(p, lr=.02, weight_decay=.1)),
    "amsgrad": ("tv_adam_new", ADAM(learning_rate=.02, beta1=.9, beta2=.9, epsilon=1e-8, amsgrad=True),
                lambda p: T.Adam(p, lr=.02, betas=(.9, .9), amsgrad=True)),
    "adamw": ("tv_adamw_new", ADAM(learning_rate=.02, beta1=.9, beta2=.999, epsilon=1e-8, decoupled_decay=.01),
              lambda p: T.AdamW(p, lr=.02)),
    "adamw amsgrad": ("tv_adamw_new", ADAM(learning_rate=.02, beta1=.9, beta2=.9, epsilon=1e-8, amsgrad=True,
                                           decoupled_decay=.2),
                      lambda p: T.AdamW(p, lr=.02, betas=(.9, .9), amsgrad=True, weight_decay=.2)),
    "rmsprop": ("tv_rmsprop_new", RMSPROP(learning_rate=.01, decay=.99, epsilon=1e-8), lambda p: T.RMSprop(p, lr=.01)),
    "rmsprop momentum": ("tv_rmsprop_new", RMSPROP(learning_rate=.005, decay=.9, epsilon=1e-6, momentum=.5),
                         lambda p: T.RMSprop(p, lr=.005, alpha=.9, eps=1e-6, momentum=.5)),
    "rmsprop centered": ("tv_rmsprop_new", RMSPROP(learning_rate=.005, decay=.9, epsilon=1e-4, centered=True),
                         lambda p: T.RMSprop(p, lr=.005, alpha=.9, eps=1e-4, centered=True)),
    "rmsprop centered momentum decay": (
        "tv_rmsprop_new", RMSPROP(learning_rate=.005, decay=.9, epsilon=1e-4, centered=True, momentum=.5,
                                  weight_decay=.1),
        lambda p: T.RMSprop(p, lr=.005, alpha=.9, eps=1e-4, centered=True, momentum=.5, weight_decay=.1)),
    "adagrad": ("tv_adagrad_new", ADAGRAD(learning_rate=.1, epsilon=1e-10), lambda p: T.Adagrad(p, lr=.1)),
    "adagrad initial": ("tv_adagrad_new", ADAGRAD(learning_rate=.1, rate_decay=.01, initial=.1, epsilon=1e-10,
                                                  weight_decay=.1),
                        lambda p: T.Adagrad(p, lr=.1, lr_decay=.01, initial_accumulator_value=.1, weight_decay=.1)),
    "adadelta": ("tv_adadelta_new", ADADELTA(learning_rate=1, decay=.9, epsilon=1e-6), lambda p: T.Adadelta(p)),
    "adadelta decay": ("tv_adadelta_new", ADADELTA(learning_rate=.5, decay=.95, epsilon=1e-5, weight_decay=.1),
                       lambda p: T.Adadelta(p, lr=.5, rho=.95, eps=1e-5, weight_decay=.1)),
}


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", AGAINST_PYTORCH)
def test_a_hundred_steps_are_pytorchs(name, problem):
    new, options, make = AGAINST_PYTORCH[name]
    run(new, options, problem, lambda w: theirs(make, w)[0])


@pytest.mark.parametrize("name", [name for name in AGAINST_PYTORCH if name.split()[0] in (
    "sgd", "adam", "adamw", "adagrad", "adadelta", "rmsprop", "amsgrad")])
def test_maximize_is_pytorchs(name):
    """Against gradients of -f, so that it goes the same way as before."""
    new, options, make = AGAINST_PYTORCH[name]
    options = type(options).from_buffer_copy(options)
    options.maximize = True
    w, gradient = PROBLEMS["quadratic"]
    ours, (reference, o, _) = Ours(new, options, w), theirs(make, w)
    o.param_groups[0]["maximize"] = True
    a = b = w
    for t in range(STEPS):
        a, b = ours.step(-gradient(a, t)), reference(-gradient(b, t))
        assert differ(a, b) < WITHIN, (t, a, b)


@pytest.mark.parametrize("name, slots", [
    ("sgd momentum", ["momentum_buffer"]), ("amsgrad", ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"]),
    ("rmsprop centered momentum decay", ["square_avg", "momentum_buffer", "grad_avg"]), ("adagrad", ["sum"]),
    ("adadelta", ["square_avg", "acc_delta"])])
def test_slots_have_pytorchs_names_and_values(name, slots):
    new, options, make = AGAINST_PYTORCH[name]
    w, gradient = PROBLEMS["logistic"]
    ours, (step, o, p) = Ours(new, options, w), theirs(make, w)
    a = w
    for t in range(5):
        step(gradient(a, t))
        a = ours.step(gradient(a, t))
    for slot in slots:
        assert differ(ours.slot(slot), np.array(o.state[p][slot].tolist())) < 1e-12
    with pytest.raises(Failure, match="keeps no nothing"):
        ours.slot("nothing")


# Forms that PyTorch does not have -----------------------------------------------------------------

def _lion(rate, beta1, beta2, decay):
    """Chen et al. (2023), Algorithm 2."""
    def start(w):
        state = {"w": w.copy(), "m": np.zeros_like(w)}

        def step(g):
            c = beta1 * state["m"] + (1 - beta1) * g
            state["w"] = state["w"] - rate * (np.sign(c) + decay * state["w"])
            state["m"] = beta2 * state["m"] + (1 - beta2) * g
            return state["w"]
        return step
    return start


def _keras_sgd(rates, momentum, nesterov):
    def start(w):
        state = {"w": w.copy(), "v": np.zeros_like(w), "t": 0}

        def step(g):
            rate = rates(state["t"])
            state["t"] += 1
            state["v"] = momentum * state["v"] - rate * g
            state["w"] = state["w"] + (momentum * state["v"] - rate * g if nesterov else state["v"])
            return state["w"]
        return step
    return start


def _keras_adam(rate, beta1, beta2, epsilon, decay):
    def start(w):
        state = {"w": w.copy(), "m": np.zeros_like(w), "v": np.zeros_like(w), "t": 0}

        def step(g):
            state["t"] += 1
            t = state["t"]
            state["w"] = state["w"] - rate * decay * state["w"]
            state["m"] += (g - state["m"]) * (1 - beta1)
            state["v"] += (g * g - state["v"]) * (1 - beta2)
            alpha = rate * np.sqrt(1 - beta2 ** t) / (1 - beta1 ** t)
            state["w"] = state["w"] - alpha * state["m"] / (np.sqrt(state["v"]) + epsilon)
            return state["w"]
        return step
    return start


def _keras_rmsprop(rate, rho, momentum, epsilon, centered):
    def start(w):
        state = {"w": w.copy(), "v": np.zeros_like(w), "m": np.zeros_like(w), "b": np.zeros_like(w)}

        def step(g):
            state["v"] = rho * state["v"] + (1 - rho) * g * g
            state["m"] = rho * state["m"] + (1 - rho) * g
            under = state["v"] - state["m"] ** 2 if centered else state["v"]
            state["b"] = momentum * state["b"] + rate * g / np.sqrt(under + epsilon)
            state["w"] = state["w"] - state["b"]
            return state["w"]
        return step
    return start


def _keras_adagrad(rate, initial, epsilon):
    def start(w):
        state = {"w": w.copy(), "a": np.full_like(w, initial)}

        def step(g):
            state["a"] = state["a"] + g * g
            state["w"] = state["w"] - rate * g / np.sqrt(state["a"] + epsilon)
            return state["w"]
        return step
    return start


FORMULAS = {
    "lion": ("tv_lion_new", LION(learning_rate=.003, beta1=.9, beta2=.99), _lion(.003, .9, .99, 0)),
    "lion decay": ("tv_lion_new", LION(learning_rate=.003, beta1=.8, beta2=.95, decoupled_decay=.1),
                   _lion(.003, .8, .95, .1)),
    "keras momentum": ("tv_sgd_new", SGD(learning_rate=.01, momentum=.9, rate_in_momentum=True),
                       _keras_sgd(lambda t: .01, .9, False)),
    "keras nesterov": ("tv_sgd_new", SGD(learning_rate=.005, momentum=.9, rate_in_momentum=True, nesterov=True),
                       _keras_sgd(lambda t: .005, .9, True)),
    "keras adam": ("tv_adam_new", ADAM(learning_rate=.02, beta1=.9, beta2=.999, epsilon=1e-7, epsilon_hat=True),
                   _keras_adam(.02, .9, .999, 1e-7, 0)),
    "keras adamw": ("tv_adamw_new", ADAM(learning_rate=.02, beta1=.9, beta2=.999, epsilon=1e-7, epsilon_hat=True,
                                         decoupled_decay=.004), _keras_adam(.02, .9, .999, 1e-7, .004)),
    "keras rmsprop": ("tv_rmsprop_new", RMSPROP(learning_rate=.005, decay=.9, epsilon=1e-4, epsilon_inside=True),
                      _keras_rmsprop(.005, .9, 0, 1e-4, False)),
    "keras rmsprop centered": ("tv_rmsprop_new",
                               RMSPROP(learning_rate=.005, decay=.9, epsilon=1e-4, epsilon_inside=True, centered=True,
                                       momentum=.5, rate_in_momentum=True), _keras_rmsprop(.005, .9, .5, 1e-4, True)),
    "keras adagrad": ("tv_adagrad_new", ADAGRAD(learning_rate=.1, initial=.1, epsilon=1e-7, epsilon_inside=True),
                      _keras_adagrad(.1, .1, 1e-7)),
}


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", FORMULAS)
def test_a_hundred_steps_are_the_formulas(name, problem):
    new, options, start = FORMULAS[name]
    run(new, options, problem, start)
