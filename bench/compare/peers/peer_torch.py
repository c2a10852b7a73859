# SPDX-License-Identifier: MIT
"""PyTorch on the CPU: `torch` as installed, `torch:best` with its outputs reused and its own fused ops (the driver
gives it an allocator that keeps memory), `torch:compile` with torch.compile."""

import cases
import torch
import torch.nn.functional as F


def version():
    return f"{torch.__version__} ({torch.backends.cpu.get_cpu_capability()})"


def load(array):
    return torch.from_numpy(array).clone()  # in memory that PyTorch aligns


def save(result):
    return result.detach().numpy()


# As people write it ------------------------------------------------------------------------------------


def bce(x, u):
    p = torch.sigmoid(x)
    return -(u * torch.log(p) + (1 - u) * torch.log(1 - p))


def gelu(x):
    return 0.5 * x * (1 + torch.tanh(0.7978845608028654 * (x + 0.044715 * (x * x * x))))


def one(p, q):
    def call():
        for _ in range(cases.MANY):
            result = p + q
        return result

    return call


def product_chain(v):
    v.requires_grad_()
    y = v
    for _ in range(cases.MANY):
        y = y * v
    return y


def chain(v):
    def call():
        v.grad = None
        product_chain(v).backward()
        return v.grad

    return call


FUNCTIONS = {
    "add": lambda a, b: a + b,
    "multiply": lambda a, b: a * b,
    "relu": torch.relu,
    "cast": lambda d: d.to(torch.float32),
    "broadcast": lambda column, row: column + row,
    "gather": lambda table, index: table.index_select(0, index),
    "exp": torch.exp,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "muladd": lambda a, b, c: a * b + c,
    "bce": bce,
    "gelu": gelu,
    "where": lambda x, a, b: torch.where(x > 0, a, b),
    "select": lambda x: x[x > 0],
    "sum": torch.sum,
    "sum0": lambda rows: rows.sum(0),
    "sum1": lambda rows: rows.sum(1),
    "mean": torch.mean,
    "mean0": lambda rows: rows.mean(0),
    "mean1": lambda rows: rows.mean(1),
    "max": torch.max,
    "max0": lambda rows: rows.amax(0),
    "max1": lambda rows: rows.amax(1),
    "softmax": lambda square: torch.softmax(square, 1),
    "transpose": lambda square: square.t().contiguous(),
    "recorded": product_chain,
    "matmul": torch.matmul,
}


def plain(function):
    return lambda *operands: lambda: function(*operands)


# Updates and steps -------------------------------------------------------------------------------------


def sgd(parameters, **more):
    return torch.optim.SGD(parameters, lr=cases.RATE, momentum=cases.MOMENTUM, **more)


def adam(parameters, **more):
    return torch.optim.Adam(parameters, **more)


def update(**more):
    def make(w, g):
        w.requires_grad_()
        w.grad = g
        optimizer = adam([w], **more)
        return optimizer.step, lambda: w

    return make


def stuck(**more):
    def make(w, gradient, tiny):
        w.requires_grad_()
        w.grad = tiny
        optimizer = adam([w], **more)
        optimizer.step()
        w.grad = gradient
        for _ in range(170):
            optimizer.step()

        def call():
            optimizer.step()

        call.steps = 1
        return call, lambda: w

    return make


def loss_of(x, labels, *weights):
    for k in range(0, len(weights), 2):
        x = torch.addmm(weights[k + 1], x, weights[k])
        if k + 2 < len(weights):
            x = torch.relu(x)
    return F.cross_entropy(x, labels)


def step(optimizer_of, loss_of=loss_of, **more):
    def make(x, labels, *weights):
        for w in weights:
            w.requires_grad_()
        optimizer = optimizer_of(weights, **more)

        def call():
            optimizer.zero_grad()
            loss_of(x, labels, *weights).backward()
            optimizer.step()

        return call, lambda: weights[0]

    return make


def eager():
    ops = {op: {"plain": plain(function)} for op, function in FUNCTIONS.items()}
    ops["one"] = {"plain": one}
    ops["chain"] = {"plain": chain}
    ops["adam"] = {"plain": update()}
    ops["adam_stuck"] = {"plain": stuck()}
    ops["sgd_step"] = {"plain": step(sgd)}
    ops["adam_step"] = {"plain": step(adam)}
    return ops


# At its best -------------------------------------------------------------------------------------------


def bce_into(x, u, out):
    p, q = out
    torch.sigmoid(x, out=p)
    torch.sub(1, p, out=q)
    torch.log(p, out=p).mul_(u)
    torch.log(q, out=q)
    p.add_(q).addcmul_(u, q, value=-1)
    return p.neg_()


def gelu_into(x, out):
    y = torch.mul(x, x, out=out)
    y.mul_(x).mul_(0.044715).add_(x).mul_(0.7978845608028654).tanh_().add_(1).mul_(x)
    return y.mul_(0.5)


def where_into(x, a, b, out):
    mask, result = out
    return torch.where(torch.gt(x, 0, out=mask), a, b, out=result)


INTO = {
    "add": torch.add,
    "multiply": torch.mul,
    "relu": lambda x, out: torch.clamp_min(x, 0, out=out),
    "cast": lambda d, out: out.copy_(d),
    "broadcast": torch.add,
    "gather": lambda table, index, out: torch.index_select(table, 0, index, out=out),
    "exp": torch.exp,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "muladd": lambda a, b, c, out: torch.add(torch.mul(a, b, out=out), c, out=out),
    "bce": bce_into,
    "gelu": gelu_into,
    "where": where_into,
    "sum0": lambda rows, out: torch.sum(rows, 0, out=out),
    "sum1": lambda rows, out: torch.sum(rows, 1, out=out),
    "max0": lambda rows, out: torch.amax(rows, 0, out=out),
    "max1": lambda rows, out: torch.amax(rows, 1, out=out),
    "softmax": lambda square, out: torch.softmax(square, 1, out=out),
    "transpose": lambda square, out: out.copy_(square.t()),
    "matmul": torch.matmul,
}
ROOM = {
    "bce": lambda x, u: (torch.empty_like(x), torch.empty_like(x)),
    "gelu": torch.empty_like,
    "where": lambda x, a, b: (torch.empty_like(x, dtype=torch.bool), torch.empty_like(a)),
}
FUSED = {
    "muladd": ("addcmul, out=", lambda a, b, c, out: torch.addcmul(c, a, b, out=out)),
    "bce": ("BCE with logits", lambda x, u: F.binary_cross_entropy_with_logits(x, u, reduction="none")),
    "gelu": ("F.gelu", lambda x: F.gelu(x, approximate="tanh")),
}


def into(op, function):
    def make(*operands):
        out = ROOM.get(op, FUNCTIONS[op])(*operands)
        return lambda: function(*operands, out=out)

    return make


def best():
    ops = eager()
    for op, function in INTO.items():
        ops[op]["out="] = into(op, function)
    for op, (name, function) in FUSED.items():
        ops[op][name] = into(op, function) if "out=" in name else plain(function)
    for op, make in (("adam", update), ("adam_stuck", stuck)):
        ops[op]["fused"], ops[op]["foreach"] = make(fused=True), make(foreach=True)
    for op, optimizer in (("sgd_step", sgd), ("adam_step", adam)):
        ops[op]["fused"], ops[op]["foreach"] = step(optimizer, fused=True), step(optimizer, foreach=True)
    return ops


# Compiled ----------------------------------------------------------------------------------------------


def compiled():
    """The ops that goals name: a compilation takes seconds."""
    def make(function, *sizes):
        def fresh(*operands):
            torch._dynamo.reset()
            run = torch.compile(function, dynamic=False)
            return lambda: run(*operands)

        fresh.sizes = sizes
        return {"plain": fresh}

    def make_update(w, g):
        torch._dynamo.reset()
        w.requires_grad_()
        w.grad = g
        optimizer = adam([w], lr=torch.tensor(1e-3), capturable=False)
        run = torch.compile(optimizer.step, dynamic=False)
        return lambda: run() and None, lambda: w

    def make_step(optimizer_of):
        def fresh(x, labels, *weights):
            torch._dynamo.reset()
            return step(optimizer_of, torch.compile(loss_of, dynamic=False), fused=True)(x, labels, *weights)

        return {"with a fused optimizer": fresh}

    make_update.sizes = ("1e7",)
    ops = {op: make(FUNCTIONS[op], "1e7") for op in ("muladd", "bce", "gelu", "where")}
    ops["softmax"] = make(FUNCTIONS["softmax"], "4096")
    ops["adam"] = {"plain": make_update}
    ops["sgd_step"], ops["adam_step"] = make_step(sgd), make_step(adam)
    return ops


OPS = {}


def start(threads, mode="eager"):
    torch.set_num_threads(threads)
    OPS.update({"eager": eager, "best": best, "compile": compiled}[mode]())
