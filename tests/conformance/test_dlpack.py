# SPDX-License-Identifier: MIT
"""Tensors to and from NumPy, PyTorch and JAX by DLPack, in one process, without copying."""

import gc
import os
import random
import sys
import threading
import warnings

import numpy as np
import pytest

from capsules import Lender, address, lend, take
from library import NAMES, Failure, Scope, content, is_on_cpu, lib, sizes, tensor

os.environ.setdefault("JAX_PLATFORMS", "cpu")

pytestmark = [pytest.mark.skipif(not is_on_cpu(), reason="DLPack of host memory"),
              pytest.mark.filterwarnings("ignore:Failed to initialize NumPy"),
              pytest.mark.filterwarnings("ignore:The given .* is not writable")]


def arrays():
    rng = np.random.default_rng(3)
    for name in NAMES:
        if name == "bfloat16":
            continue
        dtype = np.dtype(name)
        for shape in [(), (0,), (1,), (7,), (2, 3), (3, 0, 2), (1, 4, 1), (2, 3, 4)]:
            size = int(np.prod(shape)) * dtype.itemsize
            raw = rng.integers(0, 2 if name == "bool" else 256, size, np.uint8)
            yield np.frombuffer(bytearray(raw.tobytes()), dtype).reshape(shape)


def layouts(array):
    yield array
    yield array.T
    if array.ndim:
        yield array[::-1]
        yield np.repeat(array, 2, axis=-1)[..., ::2]
        yield np.broadcast_to(array, (2,) + array.shape)
        yield array[1:]


def cases():
    for array in arrays():
        yield from layouts(array)


def told(array):
    return array.dtype.name, list(array.shape), array.tobytes("C")


@pytest.fixture(autouse=True)
def nothing_is_left():
    gc.collect()
    live = lib.tv_live_handles()
    yield
    gc.collect()
    assert lib.tv_live_handles() == live


# NumPy ---------------------------------------------------------------------------------------------


def test_numpy_reads_ours_where_they_lie():
    for array in cases():
        with Scope():
            x = tensor(array)
            lender = Lender(x)
            view = np.from_dlpack(lender)
            assert lender.asked >= (1, 0)
            assert told(view) == told(array) and not (array.size and view.flags.writeable)
            if array.size:
                assert view.ctypes.data == array.ctypes.data == address(x)
            copy = np.from_dlpack(lender, copy=True)
            assert told(copy) == told(array) and copy.flags.writeable
            assert not array.size or not np.shares_memory(copy, array)


def test_numpy_holds_what_we_lent():
    with Scope():
        live = lib.tv_live_handles()
        view = np.from_dlpack(Lender(lib.tv_ones(NAMES.index("float64"), 1, sizes([5]))))
        held = lib.tv_live_handles() - live
    assert held > 0 and view.tolist() == [1] * 5
    part = view[1:3]
    del view
    gc.collect()
    assert lib.tv_live_handles() == live + held and part.tolist() == [1, 1]


def test_we_read_numpys_where_they_lie():
    for array in cases():
        before = sys.getrefcount(array)
        for version in (None, (1, 1)):
            if version is None and not array.flags.writeable:
                continue  # the older form cannot say that it is to be read only, and NumPy refuses
            capsule = array.__dlpack__(max_version=version)
            with Scope():
                x, is_shared = take(capsule)
                assert content(x) == told(array)
                assert is_shared == (array.size > 0)
                if is_shared:
                    assert address(x) == array.ctypes.data
            del capsule
            assert sys.getrefcount(array) == before


def test_we_copy_where_we_are_asked_to_or_must():
    array = np.arange(12, dtype=np.int32).reshape(3, 4)[:, ::2]
    with Scope():
        x, is_shared = take(array.__dlpack__(max_version=(1, 1)), copy=True)
        wanted = told(array)
        array += 1
        assert not is_shared and content(x) == wanted
    raw = np.zeros(33, np.uint8)
    odd = raw[1:].view(np.float64)
    odd[:] = [1, 2, 3, 4]
    with Scope():
        x, is_shared = take(odd.__dlpack__(max_version=(1, 1)))
        assert not is_shared and content(x) == told(odd)
    with pytest.raises(Failure, match="elements of float64 are not at multiples of"):
        with Scope():
            take(odd.__dlpack__(max_version=(1, 1)), require_share=True)
    with Scope():  # a copy that NumPy made for us, and flags as one
        x, is_shared = take(odd.__dlpack__(max_version=(1, 1), copy=True))
        odd[:] = 0
        assert is_shared and content(x)[2] == np.array([1.0, 2, 3, 4]).tobytes()


def test_a_guard_sees_what_numpy_writes():
    array = np.arange(1000.0)
    with pytest.raises(Failure, match="'frame' of 8000 bytes was changed outside the library"):
        with Scope():
            x, _ = take(array.__dlpack__(max_version=(1, 1)), guard=2, name=b"frame")
            if not x and "xxHash" in lib.tv_error_text().decode():
                lib.tv_error_clear()
                pytest.skip("this build is without xxHash")
            assert content(x) == told(array)
            array[999] = 0
            content(x)


def test_capsules_that_nobody_takes_are_given_back():
    with Scope():
        x = tensor(np.arange(3.0))
        live = lib.tv_live_handles()
        for legacy in (False, True):
            for copy in (False, True):
                capsule = lend(x, legacy, copy)
                del capsule
        assert lib.tv_live_handles() == live


def test_views_may_go_in_any_order_from_any_thread():
    rng = random.Random(5)
    for _ in range(10):
        array = np.arange(64.0)
        before, views = sys.getrefcount(array), []
        with Scope():
            x, _ = take(array.__dlpack__(max_version=(1, 1)))
            views = [np.from_dlpack(Lender(x))[k:] for k in range(9)]
        rng.shuffle(views)

        def drop(mine):
            while mine:
                assert mine.pop()[-1] == 63

        threads = [threading.Thread(target=drop, args=(views[k::3],)) for k in range(3)]
        views = []
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        del threads, thread
        gc.collect()
        assert sys.getrefcount(array) == before


# PyTorch -------------------------------------------------------------------------------------------

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Debian's was compiled for NumPy 1, and we ask it for no array
    import torch

TORCHS = {name: getattr(torch, name) for name in NAMES if name in ("uint8", "int8", "int16", "int32", "int64")
          or name.startswith(("float", "bfloat", "complex"))}


def torch_tensors():
    for name, dtype in TORCHS.items():
        for shape in [(), (0,), (7,), (2, 3), (3, 0, 2), (2, 3, 4)]:
            n = int(np.prod(shape))
            whole = (torch.arange(n) % 100).to(dtype).reshape(shape)
            yield name, whole
            if len(shape) > 1:
                yield name, whole.transpose(0, -1)
                yield name, whole[1:]
                yield name, whole[:1].expand(5, *whole.shape[1:])


def torch_told(name, t):
    """Bytes by way of Python's numbers: no NumPy between them."""
    item = 2 if name == "bfloat16" else np.dtype(name).itemsize
    flat = t.contiguous().flatten()
    raw = bytes(flat.view(torch.uint8).tolist() if flat.numel() else [])
    assert len(raw) == item * t.numel()
    return name, list(t.shape), raw


def test_we_read_pytorchs_where_they_lie():
    for name, t in torch_tensors():
        with Scope():
            x, is_shared = take(torch.utils.dlpack.to_dlpack(t))
            assert content(x) == torch_told(name, t)
            assert is_shared == (t.numel() > 0)
            if is_shared:
                assert address(x) == t.data_ptr()


def test_pytorch_sees_a_copy_of_ours():
    """It knew no read-only memory when this form was made: what it writes is its own. It never calls the
    deleter of what is empty, whose data are to be NULL: that is not asked of it here."""
    for name, t in torch_tensors():
        if not t.numel():
            continue
        with Scope():
            x, _ = take(torch.utils.dlpack.to_dlpack(t))
            mine = torch.utils.dlpack.from_dlpack(lend(x, legacy=True))
            assert mine.dtype == t.dtype and torch_told(name, mine) == torch_told(name, t)
            wanted = content(x)
            mine.zero_()
            assert content(x) == wanted
        del mine


def test_newer_pytorch_reads_ours_where_they_lie():
    try:
        torch.zeros(1).__dlpack__(max_version=(1, 1))
    except TypeError:
        pytest.skip(f"PyTorch {torch.__version__} has the older form alone")
    for name, t in torch_tensors():
        if not t.numel():
            continue
        with Scope():
            x, is_shared = take(t.__dlpack__(max_version=(1, 1)))
            assert is_shared and content(x) == torch_told(name, t) and address(x) == t.data_ptr()
            lender = Lender(x)
            mine = torch.from_dlpack(lender)
            assert lender.asked >= (1, 0) and mine.data_ptr() == t.data_ptr()
            assert mine.dtype == t.dtype and torch_told(name, mine) == torch_told(name, t)
            copy = torch.from_dlpack(lender, copy=True)
            assert torch_told(name, copy) == torch_told(name, t) and copy.data_ptr() != t.data_ptr()
        del mine, copy


def test_what_pytorch_writes_is_seen():
    t = torch.arange(6.0)
    with Scope():
        x, _ = take(torch.utils.dlpack.to_dlpack(t))
        t += 1
        assert content(x) == torch_told("float32", t)
        assert lib.tv_tensor_mark_mutated(x) == 0


# JAX -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def jax():
    import jax as module
    module.config.update("jax_enable_x64", True)
    return module


def jax_told(array):
    array = np.asarray(array)
    return array.dtype.name, list(array.shape), array.tobytes("C")


def test_we_read_jaxs_where_they_lie(jax):
    for name in NAMES:
        for shape in [(), (0,), (7,), (2, 3), (2, 3, 4)]:
            whole = np.arange(int(np.prod(shape))) % 2
            array = jax.device_put(whole.astype(jax.numpy.dtype(name)).reshape(shape)).block_until_ready()
            with Scope():
                x, is_shared = take(array.__dlpack__())
                assert content(x) == jax_told(array)
                assert is_shared == (array.size > 0)
                if is_shared:
                    assert address(x) == array.unsafe_buffer_pointer()


def test_jax_reads_ours(jax):
    for array in arrays():
        with Scope():
            x = tensor(array)
            assert jax_told(jax.dlpack.from_dlpack(Lender(x))) == told(array)
            assert jax_told(jax.numpy.from_dlpack(Lender(x), copy=True)) == told(array)
    bits = np.arange(16, dtype=np.uint16)
    with Scope():
        found = jax.dlpack.from_dlpack(Lender(tensor(bits, "bfloat16")))
        assert found.dtype.name == "bfloat16" and np.asarray(found).tobytes() == bits.tobytes()
    del found


def test_from_one_to_the_other_and_back(jax):
    """NumPy's bytes through us to JAX and PyTorch, and theirs through us to NumPy."""
    array = np.arange(64.0).reshape(8, 8)
    with Scope():
        x, _ = take(array.__dlpack__(max_version=(1, 1)))
        assert jax_told(jax.dlpack.from_dlpack(Lender(x))) == told(array)
        assert torch_told("float64", torch.utils.dlpack.from_dlpack(lend(x, legacy=True))) == told(array)
        y, _ = take(jax.numpy.asarray(array).__dlpack__())
        z, _ = take(torch.utils.dlpack.to_dlpack(torch.arange(64, dtype=torch.float64).reshape(8, 8)))
        for other in (y, z):
            assert told(np.from_dlpack(Lender(other))) == told(array)
