# SPDX-License-Identifier: MIT
"""What the tours print, against what NumPy and PyTorch make of the same programs."""

import os
import re
import subprocess
import tempfile
import warnings

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it was built for NumPy 1, and says so
    import torch

EXAMPLES = os.environ.get("TENSORVAR_EXAMPLES")
pytestmark = pytest.mark.skipif(not EXAMPLES, reason="TENSORVAR_EXAMPLES is not set: no programs to run")
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|nan|inf)")


def lines(tour, stop):
    """Of one stop, without its title."""
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run([f"{EXAMPLES}/{tour}", str(stop)], cwd=folder, check=True, capture_output=True, text=True)
    return [line for line in run.stdout.splitlines() if line and not line.startswith("---")]


def numbers(text):
    return np.array([float(x) for x in NUMBER.findall("\n".join(text))])


def same(text, *wanted, within=1e-7):
    np.testing.assert_allclose(numbers(text), np.concatenate([np.ravel(x) for x in wanted]), atol=within, rtol=within)


def leaf(x, dtype=torch.float64):
    return torch.tensor(x, dtype=dtype, requires_grad=True)


def listed(x):
    return np.array(x.detach().tolist())


OPTIMIZERS = {
    "momentum": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    "Nesterov": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "Adam": (torch.optim.Adam, {"lr": 0.1}),
    "AdamW": (torch.optim.AdamW, {"lr": 0.1, "weight_decay": 0.004}),
    "RMSprop": (torch.optim.RMSprop, {"lr": 0.1, "alpha": 0.9}),
    "Adagrad": (torch.optim.Adagrad, {"lr": 0.1, "initial_accumulator_value": 0.1}),
    "Adadelta": (torch.optim.Adadelta, {"lr": 1.0}),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_three_steps(name):
    make, options = OPTIMIZERS[name]
    w, path = leaf([1.0]), []
    optimizer = make([w], **options)
    for g in (0.5, 0.25, -0.1):
        w.grad = torch.tensor([g], dtype=torch.float64)
        optimizer.step()
        path.append(w.item())
    (line,) = [x for x in lines("training_tour", 3) if x.startswith(name + " ")]
    same([line[len(name):]], path, within=1e-9)


def test_parameter_groups():
    w, b = leaf([1.0, 1.0]), leaf([1.0, 1.0])
    groups = [{"params": [w]}, {"params": [b], "lr": 0.2, "weight_decay": 0}]
    optimizer = torch.optim.SGD(groups, lr=0.1, weight_decay=0.5)
    w.grad = b.grad = torch.ones(2, dtype=torch.float64)
    optimizer.step()
    same(lines("training_tour", 4), listed(w), listed(b))


@pytest.mark.parametrize("name, make", [
    ("exponential", lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.5 ** 0.25)),
    ("polynomial", lambda o: torch.optim.lr_scheduler.PolynomialLR(o, 4, 1.0)),
])
def test_schedules(name, make):
    optimizer = torch.optim.SGD([leaf([1.0])], lr=1.0)
    schedule, rates = make(optimizer), []
    for _ in range(7):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    (line,) = [x for x in lines("training_tour", 5) if x.startswith(name)]
    same([line[len(name):]], rates, within=1e-6)


def test_clipping():
    a, b = leaf([3.0, -4.0]), leaf([12.0, 0.0])
    a.grad, b.grad = a.detach().clone(), b.detach().clone()
    norm = torch.nn.utils.clip_grad_norm_([a, b], 6.5)
    text = lines("training_tour", 6)
    same([text[0]], np.clip([3, -4], -3.5, 3.5))
    same(text[2:4], listed(a.grad), listed(b.grad), within=1e-5)  # PyTorch adds 1e-6 to the norm
    same([text[4]], [norm.item()])


def test_gradients():
    x, c = leaf([1.0, 2.0, 3.0]), leaf([3.0, 3.0, 3.0])
    same(lines("gradient_tour", 1)[:1], listed(torch.autograd.grad((x ** 2).sum(), x)[0]))
    y = x ** 2 * c
    by_c, = torch.autograd.grad(y.sum(), c, retain_graph=True)
    by_x, = torch.autograd.grad(y, x, torch.arange(3.0, dtype=torch.float64))
    text = lines("gradient_tour", 3)
    same([text[0], text[3]], listed(by_c), listed(by_x))
    z = leaf([2.0])
    first, = torch.autograd.grad(z ** 3, z, create_graph=True)
    same(lines("gradient_tour", 4), listed(first), listed(torch.autograd.grad(first, z)[0]))
    x = leaf([1.0, 2.0, 3.0])
    same(lines("gradient_tour", 5)[1:2], listed(torch.autograd.grad((x * x.detach()).sum(), x)[0]))
    same(lines("gradient_tour", 8), listed(torch.autograd.grad((x ** 3).sum(), x)[0]))


def test_gradient_that_is_not_a_number():
    x = leaf([100.0], torch.float32)
    own, = torch.autograd.grad(torch.log(1 + torch.exp(x)), x)
    same(lines("gradient_tour", 7), listed(own), listed(torch.sigmoid(x)))


def test_complex_gradient():
    z = torch.tensor([3 + 4j], dtype=torch.complex128, requires_grad=True)
    g = torch.autograd.grad((z ** 2).real.sum(), z)[0].item()
    same(lines("gradient_tour", 12), [g.real, g.imag])


def test_rows_of_a_table():
    table = leaf(np.ones((5, 2)).tolist())
    x = torch.nn.functional.embedding(torch.tensor([3, 1, 3]), table)
    (g,) = torch.autograd.grad((x ** 2).sum(), table)
    text = lines("gradient_tour", 6)
    same(text[-10:-5], listed(table) - 0.5 * listed(g))
    same(text[-5:], listed(g))


def test_slices():
    v = np.arange(12, dtype=np.float32).reshape(3, 4)
    v[0] = -1
    v[1:, ::2] *= 0.5
    wanted = [v.copy()]
    v = v + v[::-1]
    wanted.append(v.copy())
    for row in range(3):
        v[row, :row] = row
    same(lines("variable_tour", 14)[:9], *wanted, v)


def test_scatter():
    at, rows = np.array([0, 2, 0, -1]), np.repeat(np.arange(1.0, 5), 2).reshape(4, 2)
    v = np.zeros((3, 2))
    for i, x in zip(at, rows):  # NumPy leaves the order of v[at] = rows open too
        v[i] = x
    wanted = [v.copy()]
    np.add.at(v, at, rows)
    wanted.append(v.copy())
    np.maximum.at(v, at, 8)
    same(lines("variable_tour", 16)[:9], *wanted, v)
