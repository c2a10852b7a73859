# SPDX-License-Identifier: MIT
"""Random sequences of reads, writes, failures, tapes and versions against a small model in NumPy.

A sequence is a list of steps that hold all they need, so any part of one is a sequence too: a failure
is shrunk by leaving steps out, and printed. Values are whole numbers and halves, so the model's
arithmetic is exact; what overflows does so in both. TENSORVAR_DEPTH=50 runs a million steps."""

import ctypes
import os
import random
import threading
import time

import numpy as np
import pytest

import library
from library import Constraint, VariableOptions, lib

DEPTH = int(os.environ.get("TENSORVAR_DEPTH", "1"))
STEPS = 20_000 * DEPTH if library.is_on_cpu() else 3_000
LENGTH = 100  # steps of a sequence
SHARE = 4     # tests that share them
SET, ADD, SUBTRACT, MULTIPLY, DIVIDE, MINIMUM, MAXIMUM = range(7)
OPS = (None, np.add, np.subtract, np.multiply, np.divide, np.minimum, np.maximum)
WORDS = ("", "_add", "_sub", "_mul", "_div", "_min", "_max")
STATUS = {name: number for number, name in enumerate(
    "OK ENOMEM EVALUE ESHAPE EDTYPE EINDEX EDEVICE ESCOPE EOVERFLOW EIO EFORMAT EMUTATED EBUSY ECONSTRAINT".split())}
ON_EVERY_WRITE, VALIDATE_ONLY, CLIP = 1, 2, 1
_p, _i64, _u64, _int = ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint64, ctypes.c_int


class Written(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("version", _u64), ("verb", ctypes.c_char_p), ("file", ctypes.c_char_p),
                ("line", _int), ("thread", _u64)]


class Memory(ctypes.Structure):
    _fields_ = [(name, _i64) for name in "bytes blocks reserved held held_peak held_free largest_free limit".split()]


class TapeOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("persistent", ctypes.c_bool), ("mutation", _int)]


for name, result, *arguments in (
        ("variable_new", _p, _p, _p), ("variable_release", None, _p), ("variable_version", _u64, _p),
        ("variable_oldest", _u64, _p), ("variable_at", _p, _p, _u64), ("variable_restore", _int, _p, _u64),
        ("variable_last_write", _int, _p, _p), ("variable_update", _int, _p, _int, _p),
        ("variable_update_slice", _int, _p, _int, ctypes.c_char_p, _p),
        ("variable_update_where", _int, _p, _int, _p, _p), ("variable_scatter", _int, _p, _int, _p, _p),
        ("variable_scatter_nd", _int, _p, _int, _p, _p), ("variable_map", _int, _p, ctypes.c_bool, _p),
        ("variable_unmap", _int, _p), ("read", _p, _p), ("retain", _p, _p), ("release", None, _p),
        ("square", _p, _p), ("add", _p, _p, _p), ("multiply", _p, _p, _p), ("sum", _p, _p, _int, _p),
        ("scalar_real", _p, ctypes.c_double), ("scalar_int", _p, _i64), ("tape_begin", _p, _p), ("tape_end", _int, _p),
        ("tape_gradient", _int, _p, _p, _int, _p, _p), ("tape_gradient_at", _int, _p, _p, _p, _u64, _p),
        ("variable_moved", _int, _p, _p), ("error_clear", None), ("device_memory", _int, ctypes.c_int32, _p),
        ("device_limit", _int, ctypes.c_int32, _i64), ("device_trim", _int, ctypes.c_int32)):
    library._declare(f"tv_{name}", result, *arguments)

# shape, dtype, history, clip policy (None: no clip), concurrent readers
KINDS = (((6,), "float64", 0, None, False), ((4, 3), "float64", 3, None, False), ((3, 2, 2), "float32", 0, None, True),
         ((5, 2), "int32", 2, None, False), ((2, 40), "float32", 1, ON_EVERY_WRITE, False),
         ((7,), "float64", 2, VALIDATE_ONLY, False), ((), "float64", 1, None, False), ((0, 3), "float32", 0, None, False),
         ((3, 500), "float64", 1, None, False), ((40, 60), "float32", 0, ON_EVERY_WRITE, False))
LARGE = (8, 9)  # whose bytes the allocator counts
LIMIT = 50


class Wrong(Exception):
    pass


def expect(condition, *what):
    if not condition:
        raise Wrong(*what)


def tensor(array, name=None):
    array = np.array(array, order="C")
    return lib.tv_tensor_from_memory(array.ctypes.data, library.NAMES.index(name or array.dtype.name), array.ndim,
                                     library.sizes(array.shape), None)


def holds(handle, want):
    expect(handle, "NULL", lib.tv_error_text())
    name, shape, content = library.content(handle)
    expect(name == want.dtype.name and tuple(shape) == want.shape, name, shape)
    got = np.frombuffer(content, want.dtype).reshape(want.shape)
    expect(np.array_equal(got, want, equal_nan=want.dtype.kind == "f"), got, want)


def slices(draw, shape):
    """An index of the shape, and its text."""
    terms = []
    for size in shape[:draw.randint(0, len(shape))]:
        if size and draw.random() < 0.3:
            terms.append(draw.randrange(-size, size))
        else:
            bound = lambda: None if draw.random() < 0.4 else draw.randint(-size - 1, size + 1)  # noqa: B023, E731
            terms.append(slice(bound(), bound(), draw.choice((None, 1, 2, -1))))
    word = lambda term: str(term) if isinstance(term, int) else ":".join(  # noqa: E731
        "" if part is None else str(part) for part in (term.start, term.stop, term.step))
    return tuple(terms), ", ".join(map(word, terms)) or "..."


class Twin:
    """A Variable, and the model of it."""

    def __init__(self, kind):
        shape, dtype, history, policy, concurrent = KINDS[kind]
        constraint = Constraint(ctypes.sizeof(Constraint), CLIP if policy else 0, policy or 0, -LIMIT, LIMIT)
        options = VariableOptions(ctypes.sizeof(VariableOptions), f"v{kind}".encode(), True, concurrent, None, constraint, history)
        self.value = (np.arange(int(np.prod(shape))) % 9 - 4).reshape(shape).astype(dtype)
        self.handle = lib.tv_variable_new(tensor(self.value), ctypes.byref(options))
        self.history, self.policy, self.version, self.verb = history, policy, 0, "variable_new"
        self.past, self.moved, self.is_starved, self.n_starved = {}, 0, False, 0

    def commit(self, fresh, verb, status, is_restored=False):
        """What a write of the value `fresh` has to have done."""
        moved = 0
        if self.policy and not is_restored:
            with np.errstate(all="ignore"):
                inside = (fresh >= -LIMIT) & (fresh <= LIMIT)
            if self.policy == VALIDATE_ONLY and not inside.all():
                return expect(status == STATUS["ECONSTRAINT"], verb, status)
            if self.policy == ON_EVERY_WRITE:
                moved = int((~inside & ~np.isnan(fresh)).sum())
                fresh = np.clip(fresh, -LIMIT, LIMIT)
        if self.is_starved and status == STATUS["ENOMEM"]:
            self.n_starved += 1
            return None
        expect(status == 0, verb, status, lib.tv_error_text())
        self.past[self.version] = self.value
        self.past.pop(self.version - self.history, None)
        self.value, self.version, self.verb, self.moved = np.asarray(fresh).astype(self.value.dtype), self.version + 1, verb, moved
        return None

    def check(self):
        holds(lib.tv_read(self.handle), self.value)
        expect(lib.tv_variable_version(self.handle) == self.version, "version")
        expect(lib.tv_variable_oldest(self.handle) == self.version - len(self.past), "oldest")
        last, moved = Written(ctypes.sizeof(Written)), _i64(-1)
        expect(lib.tv_variable_last_write(self.handle, ctypes.byref(last)) == 0, "last write")
        expect(last.version == self.version and last.verb.decode() == self.verb, last.verb, self.verb)
        expect(lib.tv_variable_moved(self.handle, ctypes.byref(moved)) == 0 and moved.value == self.moved, "moved",
               moved.value, self.moved)


class World:
    """What one sequence works on."""

    def __init__(self):
        self.twins = [Twin(kind) for kind in range(len(KINDS))]
        self.snapshots = []  # retained handles, and what they show for ever
        self.tape = None     # handle, is strict, loss or None, reads: (twin, version, value, factor)

    def end(self):
        for handle, want in self.snapshots:
            holds(handle, want)
        self.release()

    def release(self):
        for handle, _ in self.snapshots:
            lib.tv_release(handle)
        for twin in self.twins:
            lib.tv_variable_release(twin.handle)
        self.snapshots, self.twins = [], []

    # Steps: each takes a twin and a source of random numbers of its own.

    def updates(self, draw, twin, shape):
        """A way to update, and numbers of a shape for it; now and then a weak scalar."""
        how = draw.randrange(7)
        if how == DIVIDE and twin.value.dtype.kind == "i":
            how = SUBTRACT
        low, high = ((1, 3) if how == DIVIDE else (-2, 2) if how == MULTIPLY else (-30, 30))
        rng = np.random.default_rng(draw.randrange(2**32))
        numbers = rng.integers(low, high + 1, shape)
        if how == DIVIDE:
            numbers = 2 ** numbers
        return how, numbers.astype(twin.value.dtype)

    def given(self, draw, twin, numbers):
        """The tensor of an update: of the Variable's dtype, or of another of its kind."""
        others = ("int32", "int16") if twin.value.dtype.kind == "i" else ("float64", "float32", "int64")
        name = draw.choice((twin.value.dtype.name, *others))
        return tensor(numbers.astype(name))

    def update(self, draw, twin):
        how, x = self.updates(draw, twin, twin.value.shape)
        status = lib.tv_variable_update(twin.handle, how, self.given(draw, twin, x))
        twin.commit(OPS[how](twin.value, x) if how else x, "variable_assign" + WORDS[how], status)

    def update_by_a_number(self, draw, twin):
        how, x = self.updates(draw, twin, ())
        if how:
            status = lib.tv_variable_update(twin.handle, how, lib.tv_scalar_int(int(x)))
            twin.commit(OPS[how](twin.value, x), "variable_assign" + WORDS[how], status)

    def update_slice(self, draw, twin):
        index, text = slices(draw, twin.value.shape)
        part = twin.value[index]
        shape = np.shape(part)[draw.randint(0, np.ndim(part)):]  # broadcast
        how, x = self.updates(draw, twin, shape)
        status = lib.tv_variable_update_slice(twin.handle, how, text.encode(), self.given(draw, twin, x))
        fresh = twin.value.copy()
        fresh[index] = OPS[how](part, x) if how else x
        twin.commit(fresh, "variable_assign_slice" + WORDS[how], status)

    def update_slice_by_itself(self, draw, twin):
        """A value that is a view of the Variable, and overlaps."""
        if twin.value.ndim and twin.value.shape[0] > 1:
            view = lib.tv_slice(lib.tv_read(twin.handle), b"::-1")
            status = lib.tv_variable_update_slice(twin.handle, SET, b"...", view)
            twin.commit(twin.value[::-1].copy(), "variable_assign_slice", status)

    def update_where(self, draw, twin):
        how, x = self.updates(draw, twin, twin.value.shape[draw.randint(0, twin.value.ndim):])
        mask = np.random.default_rng(draw.randrange(2**32)).random(twin.value.shape) < 0.5
        status = lib.tv_variable_update_where(twin.handle, how, tensor(mask, "bool"), self.given(draw, twin, x))
        fresh = np.where(mask, OPS[how](twin.value, x) if how else x, twin.value)
        twin.commit(fresh, "variable_assign_where" + WORDS[how], status)

    def scatter(self, draw, twin):
        if not twin.value.ndim or not twin.value.shape[0]:
            return
        n, k = twin.value.shape[0], draw.randint(0, 6)
        is_bad = k and draw.random() < 0.1
        at = np.random.default_rng(draw.randrange(2**32)).integers(-n, n, k)
        how, x = self.updates(draw, twin, () if draw.random() < 0.3 else (k, *twin.value.shape[1:]))
        if is_bad:
            at[draw.randrange(k)] = draw.choice((n, -n - 1, n + 5))
        status = lib.tv_variable_scatter(twin.handle, how, tensor(at), self.given(draw, twin, x))
        if is_bad:
            return expect(status == STATUS["EINDEX"] or (twin.is_starved and status == STATUS["ENOMEM"]), status)
        fresh = twin.value.copy()
        for j, row in enumerate(at):
            y = x if x.ndim == 0 else x[j]
            fresh[row] = OPS[how](fresh[row], y) if how else y
        return twin.commit(fresh, "variable_scatter" + (WORDS[how] or "_update"), status)

    def scatter_nd(self, draw, twin):
        if not twin.value.size or not twin.value.ndim:
            return
        axes, k = draw.randint(1, twin.value.ndim), draw.randint(0, 5)
        sizes = np.array(twin.value.shape[:axes])
        at = np.random.default_rng(draw.randrange(2**32)).integers(-sizes, sizes, (k, axes))
        how, x = self.updates(draw, twin, (k, *twin.value.shape[axes:]))
        status = lib.tv_variable_scatter_nd(twin.handle, how, tensor(at), self.given(draw, twin, x))
        fresh = twin.value.copy()
        for j, row in enumerate(map(tuple, at)):
            fresh[row] = OPS[how](fresh[row], x[j]) if how else x[j]
        twin.commit(fresh, "variable_scatter_nd" + (WORDS[how] or "_update"), status)

    def write_through_a_map(self, draw, twin):
        data, size = _p(), twin.value.size
        before = twin.value
        expect(lib.tv_variable_map(twin.handle, draw.random() < 0.5, ctypes.byref(data)) == 0, "map")
        expect(lib.tv_variable_update(twin.handle, ADD, lib.tv_scalar_int(1)) == STATUS["EBUSY"], "not busy")
        lib.tv_error_clear()
        fresh = before.copy()
        if size:
            bytes_ = (ctypes.c_char * before.nbytes).from_address(data.value)
            seen = np.frombuffer(bytes_, before.dtype).reshape(before.shape)
            expect(np.array_equal(seen, before, equal_nan=before.dtype.kind == "f"), "the map shows", seen)
            seen.flat[draw.randrange(size)] = draw.randint(-30, 30)
            fresh = seen.copy()
            del seen
        twin.commit(fresh, "variable_unmap", lib.tv_variable_unmap(twin.handle))

    def restore(self, draw, twin):
        version = twin.version - draw.randint(0, 4)
        status = lib.tv_variable_restore(twin.handle, max(version, 0))
        if max(version, 0) == twin.version or max(version, 0) in twin.past:
            twin.commit(twin.past.get(max(version, 0), twin.value), "variable_restore", status, is_restored=True)
        else:
            expect(status == STATUS["EINDEX"], status)

    def look_back(self, draw, twin):
        for version, want in twin.past.items():
            holds(lib.tv_variable_at(twin.handle, version), want)
        expect(not lib.tv_variable_at(twin.handle, twin.version + 1), "a version to come")
        lib.tv_error_clear()

    def fail(self, draw, twin):
        """Writes that are refused, each for one reason."""
        one = lib.tv_scalar_int(1)
        name, call = draw.choice((
            ("ESHAPE", lambda: lib.tv_variable_update(twin.handle, draw.randrange(7), tensor(np.ones((9, 9), "int8")))),
            ("EDTYPE", lambda: lib.tv_variable_update(twin.handle, ADD, tensor(np.ones(twin.value.shape, "complex64")))),
            ("EVALUE", lambda: lib.tv_variable_update(twin.handle, 7, one)),
            ("EINDEX", lambda: lib.tv_variable_update_slice(twin.handle, ADD, b"99, 99, 99, 99", one)),
            ("EVALUE", lambda: lib.tv_variable_update_slice(twin.handle, ADD, b"1:2:0:", one)),
            ("EDTYPE", lambda: lib.tv_variable_update_where(twin.handle, ADD, tensor(np.ones(twin.value.shape)), one)),
            ("EVALUE", lambda: lib.tv_variable_unmap(twin.handle))))
        status = call()
        if twin.value.dtype.kind == "i" and name == "ESHAPE":
            return expect(status in (STATUS[name], STATUS["EDTYPE"]), name, status)  # a quotient
        return expect(status == STATUS[name], name, status, lib.tv_error_text())

    def starve(self, draw, twin):
        """A write of a large Variable that gets no more memory: it is done, or nothing has changed."""
        if not library.is_on_cpu():
            return
        memory, inner = Memory(), random.Random(draw.randrange(2**32))
        twin = self.twins[inner.choice(LARGE)]
        lib.tv_device_trim(0)
        lib.tv_device_memory(0, ctypes.byref(memory))
        lib.tv_device_limit(0, memory.held + inner.choice((0, 1, 1, 2, 3)) * 8192)
        twin.is_starved = True
        try:
            getattr(self, inner.choice(WRITES[:7]))(inner, twin)
        finally:
            twin.is_starved = False
            lib.tv_device_limit(0, 0)
            lib.tv_error_clear()
        twin.check()

    def snapshot(self, draw, twin):
        self.snapshots.append((lib.tv_retain(lib.tv_read(twin.handle)), twin.value.copy()))

    def drop_snapshot(self, draw, twin):
        if self.snapshots:
            handle, want = self.snapshots.pop(draw.randrange(len(self.snapshots)))
            holds(handle, want)
            lib.tv_release(handle)

    def check(self, draw, twin):
        twin.check()

    def differentiate(self, draw, twin):
        """A tape over reads and writes of several Variables, and its gradients by version."""
        if draw.random() < 0.5:  # most steps of a sequence are cheaper
            return
        inner, is_strict = random.Random(draw.randrange(2**32)), draw.random() < 0.3
        options = TapeOptions(ctypes.sizeof(TapeOptions), True, int(is_strict))
        tape, reads, loss = lib.tv_tape_begin(ctypes.byref(options)), [], None
        for _ in range(inner.randint(1, 5)):
            other = inner.choice([t for t in self.twins if t.value.dtype == np.float64])
            if inner.random() < 0.6:
                factor = inner.randint(-2, 2)
                y = lib.tv_multiply(lib.tv_sum(lib.tv_square(lib.tv_read(other.handle)), -1, None),
                                    lib.tv_scalar_real(factor))
                reads.append((other, other.version, other.value.copy(), factor))
                loss = lib.tv_add(loss, y) if loss else y
            else:
                getattr(self, inner.choice(WRITES))(inner, other)
                lib.tv_error_clear()
        if loss:
            self.check_gradients(tape, loss, reads, is_strict)
        expect(lib.tv_tape_end(tape) == 0, "tape end")

    @staticmethod
    def check_gradients(tape, loss, reads, is_strict):
        for twin in {id(read[0]): read[0] for read in reads}.values():
            own = [read for read in reads if read[0] is twin]
            handle, g = (_p * 1)(twin.handle), (_p * 1)()
            status = lib.tv_tape_gradient(tape, loss, 1, handle, g)
            if is_strict and any(version != twin.version for _, version, _, _ in own):
                expect(status == STATUS["EMUTATED"] and not g[0], "strict", status)
                expect(twin.verb.encode() in lib.tv_error_text(), lib.tv_error_text())
                lib.tv_error_clear()
                continue
            expect(status == 0, "gradient", lib.tv_error_text())
            holds(g[0], sum(2 * factor * value for _, _, value, factor in own))
            for version in {read[1] for read in own}:
                share = [read for read in own if read[1] == version]
                expect(lib.tv_tape_gradient_at(tape, loss, twin.handle, version, g) == 0, lib.tv_error_text())
                holds(g[0], sum(2 * factor * value for _, _, value, factor in share))


lib.tv_slice.restype, lib.tv_slice.argtypes = _p, (_p, ctypes.c_char_p)
WRITES = ("update", "update_by_a_number", "update_slice", "update_slice_by_itself", "update_where", "scatter", "scatter_nd",
          "write_through_a_map", "restore")
VERBS = WRITES + WRITES + ("look_back", "fail", "starve", "snapshot", "snapshot", "drop_snapshot", "check", "check", "differentiate")


def sequence(draw):
    return [(draw.choice(VERBS), draw.randrange(len(KINDS)), draw.randrange(2**32)) for _ in range(LENGTH)]


def first_wrong(steps):
    """None, or what went wrong at which step."""
    before = lib.tv_live_handles()
    with library.Scope(), np.errstate(all="ignore"):
        world = World()
        try:
            for at, (verb, kind, seed) in enumerate(steps):
                with library.Scope():
                    getattr(world, verb)(random.Random(seed), world.twins[kind])
                    lib.tv_error_clear()
                    world.twins[kind].check()
            world.end()
        except Wrong as wrong:
            world.release()
            lib.tv_error_clear()
            return at, wrong
        finally:
            lib.tv_error_clear()
    return None if lib.tv_live_handles() == before else (len(steps), "handles are left")


def shrunk(steps):
    """A sequence that still fails, of which no step can be left out."""
    size = len(steps) // 2
    while size:
        at = 0
        while at < len(steps):
            fewer = steps[:at] + steps[at + size:]
            if first_wrong(fewer):
                steps = fewer
            else:
                at += size
        size //= 2
    return steps


@pytest.mark.parametrize("share", range(SHARE))
def test_sequences(share):
    # Other sequences in each run where more is asked for.
    draw = random.Random(share if DEPTH == 1 else f"{share} {time.time()}")
    for _ in range(max(1, STEPS // SHARE // LENGTH)):
        steps = sequence(draw)
        wrong = first_wrong(steps)
        if wrong:
            steps = shrunk(steps[:wrong[0] + 1])
            pytest.fail(f"{steps!r}: {first_wrong(steps)}")


def test_a_model_that_is_wrong_is_shrunk(monkeypatch):
    """The test of the test: a model that forgets a write is found out in two steps at most."""
    monkeypatch.setattr(World, "restore", lambda self, draw, twin: lib.tv_variable_restore(twin.handle, twin.version))
    draw = random.Random(1)
    steps = next(s for s in (sequence(draw) for _ in range(100)) if first_wrong(s))
    assert [verb for verb, _, _ in shrunk(steps)] == ["restore"]


def test_writes_are_starved():
    """The test of the test: memory does run out, and not always."""
    if not library.is_on_cpu():
        pytest.skip("the CPU's memory")
    with library.Scope():
        world, draw = World(), random.Random(5)
        with np.errstate(all="ignore"):
            for _ in range(300):
                with library.Scope():
                    world.starve(draw, None)
        starved, written = (sum(getattr(world.twins[k], name) for k in LARGE) for name in ("n_starved", "version"))
        world.release()
    assert starved > 30 and written > 30, (starved, written)


def test_readers_see_whole_versions():
    """Threads write Variables of their own, by every kind of write; others read all of them."""
    n_writers, seconds, size = 2, 1.0 * min(DEPTH, 20), 3000
    with library.Scope():
        start = tensor(np.zeros((size // 3, 3)))
        variables = [lib.tv_variable_new(start, None) for _ in range(n_writers)]
    stop, wrong = threading.Event(), []

    def write(v):
        rows = np.arange(size // 3)
        try:
            while not stop.is_set():
                with library.Scope():
                    one = lib.tv_scalar_int(1)
                    calls = (lambda: lib.tv_variable_update(v, ADD, one),
                             lambda: lib.tv_variable_update_slice(v, ADD, b"...", one),
                             lambda: lib.tv_variable_scatter(v, ADD, tensor(rows), one),
                             lambda: lib.tv_variable_update_where(v, ADD, tensor(np.ones((size // 3, 3), "bool")), one))
                    for call in calls:
                        expect(call() == 0, lib.tv_error_text())
        except Exception as error:
            wrong.append(error)

    def read():
        last = [0] * n_writers
        try:
            while not stop.is_set():
                for k, v in enumerate(variables):
                    with library.Scope():
                        _, _, content = library.content(lib.tv_read(v))
                    value = np.frombuffer(content, np.float64)
                    expect((value == value[0]).all(), "torn", value)
                    expect(value[0] >= last[k], "backwards", value[0], last[k])
                    last[k] = value[0]
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=write, args=(v,)) for v in variables] + [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    stop.set()
    for thread in threads:
        thread.join()
    with library.Scope():
        for v in variables:
            holds(lib.tv_read(v), np.full((size // 3, 3), lib.tv_variable_version(v), np.float64))
            lib.tv_variable_release(v)
    assert not wrong, wrong
