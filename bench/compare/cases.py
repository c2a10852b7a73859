# SPDX-License-Identifier: MIT
"""What is compared: inputs, results in float64 by NumPy, and the goals of each line.

An op's operands are named by the parameters of its reference: `a` at size "1e7" is a_1e7.npy for everybody."""

import dataclasses
import inspect
import os

import numpy as np

MANY = 1000  # ops in one call of one, recorded and chain, which are too short to time alone
RATE, MOMENTUM = 0.01, 0.9  # of SGD; Adam has its defaults: 1e-3, .9, .999, 1e-8


# References: float64, from the same inputs -------------------------------------------------------------


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def bce(x, u):
    p = sigmoid(x)
    return -(u * np.log(p) + (1 - u) * np.log(1 - p))


def gelu(x):
    return 0.5 * x * (1 + np.tanh(0.7978845608028654 * (x + 0.044715 * (x * x * x))))


def softmax(square):
    e = np.exp(square - square.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def adam_begin(w):
    return [np.zeros_like(w), np.zeros_like(w)]


def adam_update(w, m, v, g, t):
    """In place, in the dtype of w; t counts from 1."""
    m *= 0.9
    m += 0.1 * g
    v *= 0.999
    v += 0.001 * (g * g)
    w -= 0.001 / (1 - 0.9**t) * m / (np.sqrt(v) / np.sqrt(1 - 0.999**t) + 1e-8)


def adam(w, g, steps=3):
    slots = adam_begin(w)
    for t in range(1, steps + 1):
        adam_update(w, *slots, g, t)
    return w


def adam_stuck(w, stuck, tiny):
    slots = adam_begin(w)
    adam_update(w, *slots, tiny, 1)
    for t in range(2, 173):  # 170 until the momentum is stuck, and the one that is checked
        adam_update(w, *slots, stuck, t)
    return w


def perceptron(x, labels, weights):
    """Gradients of the mean cross entropy of a perceptron with relu; weights and biases in turn."""
    inputs = []
    for k in range(0, len(weights), 2):
        inputs.append(x)
        x = x @ weights[k] + weights[k + 1]
        if k + 2 < len(weights):
            x = np.maximum(x, 0)
    e = np.exp(x - x.max(1, keepdims=True))
    g = e / e.sum(1, keepdims=True)
    g[np.arange(len(labels)), labels] -= 1
    g /= x.dtype.type(len(labels))
    gradients = []
    for k in range(len(weights) - 2, -1, -2):
        gradients[:0] = [inputs[k // 2].T @ g, g.sum(0)]
        if k:
            g = (g @ weights[k].T) * (inputs[k // 2] > 0)
    return gradients


def sgd_begin(weights):
    return [np.zeros_like(w) for w in weights]


def sgd_update(w, momentum, g):
    momentum *= MOMENTUM
    momentum += g
    w -= RATE * momentum


def sgd_step(x, labels, w1, b1, w2, b2, w3=None, b3=None, steps=3):
    weights = [w for w in (w1, b1, w2, b2, w3, b3) if w is not None]
    slots = sgd_begin(weights)
    for _ in range(steps):
        for w, m, g in zip(weights, slots, perceptron(x, labels, weights)):
            sgd_update(w, m, g)
    return w1


def adam_step(x, labels, w1, b1, w2, b2, w3=None, b3=None, steps=3):
    weights = [w for w in (w1, b1, w2, b2, w3, b3) if w is not None]
    slots = [adam_begin(w) for w in weights]
    for t in range(1, steps + 1):
        for w, s, g in zip(weights, slots, perceptron(x, labels, weights)):
            adam_update(w, *s, g, t)
    return w1


REFERENCES = {
    "add": lambda a, b: a + b,
    "multiply": lambda a, b: a * b,
    "relu": lambda x: np.maximum(x, 0),
    "cast": lambda d: d,
    "broadcast": lambda column, row: column + row,
    "gather": lambda table, index: table[index],
    "exp": lambda x: np.exp(x),
    "sigmoid": lambda x: sigmoid(x),
    "tanh": lambda x: np.tanh(x),
    "muladd": lambda a, b, c: a * b + c,
    "bce": bce,
    "gelu": gelu,
    "adam": lambda w, g: adam(w, g),
    "adam_stuck": adam_stuck,
    "where": lambda x, a, b: np.where(x > 0, a, b),
    "select": lambda x: x[x > 0],
    "sum": lambda rows: rows.sum(),
    "sum0": lambda rows: rows.sum(0),
    "sum1": lambda rows: rows.sum(1),
    "mean": lambda rows: rows.mean(),
    "mean0": lambda rows: rows.mean(0),
    "mean1": lambda rows: rows.mean(1),
    "max": lambda rows: rows.max(),
    "max0": lambda rows: rows.max(0),
    "max1": lambda rows: rows.max(1),
    "softmax": softmax,
    "transpose": lambda square: square.T,
    "one": lambda p, q: p + q,
    "recorded": lambda v: v,  # 1 to the power of what you like
    "chain": lambda v: v * (MANY + 1),
    "matmul": lambda p, q: p @ q,
    "sgd_step": lambda x, labels, w1, b1, w2, b2, w3=None, b3=None: sgd_step(x, labels, w1, b1, w2, b2, w3, b3),
    "adam_step": lambda x, labels, w1, b1, w2, b2, w3=None, b3=None: adam_step(x, labels, w1, b1, w2, b2, w3, b3),
}


# Goals: issue 4 ----------------------------------------------------------------------------------------

# What a goal is held against, and whether more or less is better.
KINDS = {
    "eager": "PyTorch eager as installed",
    "T": "PyTorch at its best",
    "jit": "the best of torch.compile and JAX",
    "numexpr": "numexpr",
    "any": "the best of all peers",
    "limit": "share of what the computer gives in the same run",
    "sgemm": "share of the bare sgemm call",
    "ns": "nanoseconds, at most",
    "normal": "times the normal time, at most",
    "memory": "peak memory over that of PyTorch eager, at most",
}
AT_MOST = ("ns", "normal", "memory")


@dataclasses.dataclass
class Case:
    """One op at one size. Goals hold at two threads, those of `at_one` at one."""

    op: str
    size: str
    group: str
    goals: dict = dataclasses.field(default_factory=dict)
    at_one: dict = dataclasses.field(default_factory=dict)
    limit: str = ""  # the limit whose traffic it has
    traffic: float = 1  # its bytes over those of the limit at the same size
    tolerance: tuple = (1e-5, 1e-6)  # |got - want| <= first |want| + second
    per: int = 1  # ops in one call
    every: int = 1  # row of the result that is checked
    threads: tuple = (2, 1)

    @property
    def name(self):
        return f"{self.op}/{self.size}"

    def operands(self):
        return list(inspect.signature(REFERENCES[self.op]).parameters)

    def goals_at(self, threads):
        return self.goals if threads == 2 else self.at_one

    def want(self, folder):
        """The result in float64."""
        values = []
        for operand in self.operands():
            path = os.path.join(folder, f"{operand}_{self.size}.npy")
            if not os.path.exists(path):
                break  # a perceptron of two layers has no w3
            value = np.load(path)
            values.append(value.astype(np.float64) if value.dtype.kind == "f" else value)
        if self.every > 1:  # of a matrix product
            values[0] = values[0][::self.every]
        return np.asarray(REFERENCES[self.op](*values))


def all_cases():
    """In the order in which they run: steps first, so that the peak memory is theirs."""
    cases = []

    def case(*given, **more):
        cases.append(Case(*given, **more))

    def also_one(op):  # no goal names one thread here: some for the picture, and those of the limits
        return (2, 1) if op in ("add", "relu", "broadcast", "exp", "tanh", "sum", "sum0", "max1") else (2,)

    step = "training step, perceptron"
    close = (1e-4, 1e-5)
    case("sgd_step", "mlp", step, {"eager": 1.5, "T": 1.3, "jit": 1.0, "memory": 0.3}, tolerance=close)
    case("adam_step", "mlp", step, {"eager": 2, "T": 1.65, "jit": 1.0}, tolerance=close)
    case("sgd_step", "small", step, {"eager": 5, "jit": 2}, {"eager": 5, "jit": 2}, tolerance=close)

    one = "one element"
    case("one", "1", one, at_one={"ns": 60}, per=MANY, threads=(1,))
    case("recorded", "1", one, at_one={"ns": 120}, per=MANY, threads=(1,))
    case("chain", "1", one, at_one={"ns": 250}, per=MANY, threads=(1,))

    plain = {"eager": 4, "T": 1.25, "limit": 0.85}
    for op, limit, traffic in (("add", "triad", 1), ("multiply", "triad", 1), ("relu", "copy", 1),
                               ("cast", "copy", 1.5), ("broadcast", "fill", 1), ("gather", "copy", 1.0125)):
        goals = dict(plain, T=1.05) if op == "broadcast" else plain
        case(op, "1e7", "one op, out of cache", goals, limit=limit, traffic=traffic, threads=also_one(op))
    for op, goals in (("exp", {"eager": 4.5, "T": 1.25}), ("sigmoid", {"eager": 4.5, "T": 1.25}),
                      ("tanh", {"eager": 6, "T": 3})):
        case(op, "1e7", "one op, out of cache", goals, limit="copy", threads=also_one(op))

    chains = "chain, out of cache"
    jit = {"numexpr": 3, "jit": 1.2}
    case("muladd", "1e7", chains, {"eager": 4.5, "T": 1.2, **jit}, limit="triad", traffic=4 / 3)
    case("bce", "1e7", chains, {"eager": 8, "T": 4, **jit}, limit="triad", tolerance=(1e-4, 1e-5),
         threads=(2,))
    case("gelu", "1e7", chains, {"eager": 15, "T": 4, **jit}, limit="copy")
    case("adam", "1e7", chains, {"eager": 5, "T": 3, **jit}, limit="copy", traffic=7 / 2, tolerance=(1e-5, 1e-5),
         threads=(2,))

    cache = "in cache"
    for op, goal in (("add", 1.0), ("exp", 1.4), ("tanh", 4), ("muladd", 2), ("bce", 2), ("gelu", 2), ("adam", 2)):
        case(op, "1e5", cache, {"T": goal}, tolerance=(1e-4, 1e-5) if op == "bce" else (1e-5, 1e-5))

    for op in ("where", "select"):
        for size, goal in (("1e7", 8), ("1e5", 25)):
            case(op, size, "random mask", {"any": goal}, limit="triad" if size == "1e7" else "", traffic=4 / 3,
                 threads=(2, 1) if size == "1e5" else (2,))

    for op, goal in (("sum", 1), ("sum0", 1.3), ("sum1", 1), ("max", 1), ("max0", 1.3), ("max1", 1), ("mean", None),
                     ("mean0", None), ("mean1", None)):
        goals = {"T": goal, "limit": 0.9} if goal else {}
        case(op, "1e7", "reduction", goals, limit="read", tolerance=(1e-4, 1e-4), threads=also_one(op))

    case("softmax", "4096", "rows and columns", {"eager": 3.5, "T": 1.2}, tolerance=(1e-4, 1e-9))
    case("transpose", "4096", "rows and columns", {"eager": 4.5, "T": 4.5})

    products = "matrix product"
    for size in ("64", "256", "512", "1024", "2048", "4096"):
        goals = {"sgemm": 0.9 if size == "64" else 0.97}
        case("matmul", size, products, goals, goals, limit="sgemm", tolerance=(1e-4, 1e-3), every=37,
             threads=(2,) if size == "4096" else (2, 1))
    case("matmul", "256x64", products, {"T": 2.5}, {"T": 1.3}, limit="sgemm", tolerance=(1e-4, 1e-3))

    case("adam", "1e6", "subnormal momenta", tolerance=(1e-5, 1e-5), threads=(2,))
    case("adam_stuck", "1e6", "subnormal momenta", {"normal": 1.2}, tolerance=(1e-4, 1e-4), threads=(2,))
    return cases


# Inputs ------------------------------------------------------------------------------------------------


def weights(random, sizes):
    """Weights and biases in turn, scaled for relu (He et al., 2015)."""
    made = {}
    for k, (inputs, outputs) in enumerate(zip(sizes, sizes[1:]), 1):
        made[f"w{k}"] = random.standard_normal((inputs, outputs), np.float32) * np.float32((2 / inputs) ** 0.5)
        made[f"b{k}"] = np.zeros(outputs, np.float32)
    return made


def every_sixteenth(gradient, value):
    changed = gradient.copy()
    changed[::16] = value
    return changed


def make(random, size):
    """All operands of one size, by name."""
    def normal(*shape):
        return random.standard_normal(shape, np.float32)

    if size in ("mlp", "small"):
        batch, sizes = (128, (784, 256, 128, 10)) if size == "mlp" else (8, (64, 128, 10))  # 9,610 parameters
        labels = random.integers(0, sizes[-1], batch)
        return {"x": normal(batch, sizes[0]), "labels": labels, **weights(random, sizes)}
    if size == "1":
        return {"p": normal(1), "q": normal(1), "v": np.ones(1, np.float32)}
    if size == "1e6":
        g = normal(10**6)
        # .1 of 1.2e-37, the first momentum, is just above the smallest normal number.
        return {"w": normal(10**6), "g": g, "stuck": every_sixteenth(g, 0), "tiny": every_sixteenth(g, 1.2e-37)}
    if size in ("1e5", "1e7"):
        n = int(float(size))
        height = 250 if size == "1e5" else 2500
        vectors = {name: normal(n) for name in "abcxwg"}
        return {**vectors, "u": random.random(n, np.float32), "d": random.standard_normal(n),
                "rows": random.random((height, n // height), np.float32), "row": normal(n // height),
                "column": normal(height, 1), "table": normal(n // 80, 80),
                "index": random.integers(0, n // 80, n // 80)}
    shape = tuple(int(part) for part in size.split("x"))
    shape += shape[-1:]
    made = {"p": normal(*shape), "q": normal(*shape)}
    if size == "4096":
        made["square"] = made["p"]
    return made


def write_inputs(folder, size, wanted):
    """The operands of a size as .npy, the same in every run."""
    random = np.random.Generator(np.random.PCG64(sum(size.encode())))
    for name, value in make(random, size).items():
        if name in wanted:
            np.save(os.path.join(folder, f"{name}_{size}.npy"), value)
