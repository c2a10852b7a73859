# SPDX-License-Identifier: MIT
"""The array object: a tensor that it holds, with Python's operators over it."""

import ctypes

from . import indexing, native
from .dtypes import ALL, isdtype

_NOTHING = ctypes.create_string_buffer(1)  # NumPy wants an address, though there be no elements
_NUMBERS = (bool, int, float, complex)


class Array:
    """Holds one tensor. Operators call the namespace's functions of their names."""

    __slots__ = ("handle", "made", "__weakref__")
    __array_priority__ = 1000
    __array_ufunc__ = None

    def __init__(self, handle, made):
        self.handle, self.made = handle, made

    def __del__(self):
        if self.handle:
            native.lib.tv_release(self.handle)

    # What it is

    @property
    def dtype(self):
        return ALL[native.lib.tv_tensor_dtype(self.handle)]

    @property
    def ndim(self):
        return native.lib.tv_tensor_rank(self.handle)

    @property
    def shape(self):
        n = self.ndim
        address = native.lib.tv_tensor_shape(self.handle)
        return tuple((ctypes.c_int64 * n).from_address(address)) if n else ()

    @property
    def size(self):
        return native.lib.tv_tensor_size(self.handle)

    @property
    def device(self):
        return native.lib.tv_device_name(native.lib.tv_tensor_device(self.handle)).decode()

    def to_device(self, device, /, *, stream=None):
        number = ctypes.c_int32()
        native.lib.tv_device_find(device.encode(), ctypes.byref(number))
        native.raise_failure()
        return of("tv_to", self, number.value)

    def __array_namespace__(self, /, *, api_version=None):
        import tensorvar_array

        if api_version not in (None, tensorvar_array.__array_api_version__):
            raise ValueError(f"no array API {api_version} here")
        return tensorvar_array

    @property
    def T(self):
        if self.ndim != 2:
            raise ValueError("T: two axes are needed")
        return of("tv_matrix_transpose", self)

    @property
    def mT(self):
        return of("tv_matrix_transpose", self)

    # What it holds

    def tobytes(self):
        """The elements in C order."""
        n = native.lib.tv_tensor_bytes(self.handle)
        out = ctypes.create_string_buffer(max(1, n))
        native.lib.tv_tensor_copy_out(self.handle, out, n)
        native.raise_failure()
        return out.raw[:n]

    @property
    def __array_interface__(self):
        if self.device != "cpu":
            return self._interface(None, self.tobytes() or _NOTHING)
        steps = (ctypes.c_int64 * max(1, self.ndim))()
        address = native.lib.tv_tensor_data_strided(self.handle, steps)
        native.raise_failure()
        return self._interface(tuple(steps[: self.ndim]), (address or ctypes.addressof(_NOTHING), True))

    def _interface(self, strides, data):
        kind = "V" if self.dtype.name == "bfloat16" else self.dtype.kind
        return {"version": 3, "typestr": f"{'|' if kind in 'bV' else '<'}{kind}{self.dtype.itemsize}",
                "shape": self.shape, "strides": strides, "data": data}

    def __dlpack_device__(self):
        from . import dlpack

        return dlpack.device_of(self)

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        from . import dlpack

        return dlpack.capsule_of(self, dl_device, copy, max_version)

    def tolist(self):
        """Nested lists of Python numbers; one number if there are no axes."""
        import struct

        x = self
        if x.dtype.name == "bfloat16":
            x = of("tv_astype", x, next(d for d in ALL if d.name == "float32"))
        data, kind, size = x.tobytes(), x.dtype.kind, x.dtype.itemsize
        if kind == "c":
            parts = struct.unpack(f"{2 * x.size}{'f' if size == 8 else 'd'}", data)
            flat = [complex(*pair) for pair in zip(parts[::2], parts[1::2])]
        else:
            code = {"b": "?", "f": "  e f   d"[size], "i": " bh i   q"[size], "u": " BH I   Q"[size]}[kind]
            flat = list(struct.unpack(f"{x.size}{code}", data))
        for n in reversed(x.shape[1:]):
            flat = [flat[i * n:(i + 1) * n] for i in range(len(flat) // n)] if n else _empty_rows(x.shape)
            if not n:
                return flat
        return flat if x.ndim else flat[0]

    def item(self):
        if self.size != 1:
            raise TypeError(f"one element is needed, not {self.shape}")
        x = self.tolist()
        while isinstance(x, list):
            x = x[0]
        return x

    def _scalar(self):
        if self.ndim:
            raise TypeError(f"an array without axes is needed, not {self.shape}")
        return self.item()

    def __bool__(self):
        return bool(self._scalar())

    def __int__(self):
        return int(self._scalar())

    def __float__(self):
        return float(self._scalar())

    def __complex__(self):
        return complex(self._scalar())

    def __index__(self):
        if not isdtype(self.dtype, "integral"):
            raise TypeError(f"{self.dtype} is no index")
        return self._scalar()

    def __len__(self):
        if not self.ndim:
            raise TypeError("an array without axes has no length")
        return self.shape[0]

    __hash__ = None

    def __repr__(self):
        return self._text(0)

    def __str__(self):
        return self._text(1)

    def _text(self, style):
        n = native.lib.tv_format(self.handle, style, NULL, 0)
        native.raise_failure()
        out = ctypes.create_string_buffer(n + 1)
        native.lib.tv_format(self.handle, style, out, n + 1)
        return out.value.decode()

    # Parts

    def __getitem__(self, key):
        return indexing.get(self, key)

    def __setitem__(self, key, value):
        """The array becomes one with a part replaced: tensors themselves do not change."""
        indexing.replace(self, key, value)

    def __pos__(self):
        if self.dtype.kind == "b":
            raise TypeError("+x: bool")
        return self


NULL = ctypes.c_void_p(None)


def _empty_rows(shape):
    def build(sizes):
        return [build(sizes[1:]) for _ in range(sizes[0])] if sizes else None

    cut = shape[: shape.index(0) + 1]
    return build(cut)


def operand(x):
    """An array as it is, a Python number as a weak scalar."""
    if isinstance(x, Array):
        return x
    if isinstance(x, _NUMBERS):
        return native.Scalar(x)
    raise TypeError(f"neither an array nor a number: {type(x).__name__}")


def of(name, *arguments):
    """The array that a function of the library gives."""
    return Array(*native.call(name, *arguments))


_BINARY = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "pow", "matmul": "matmul", "and": "bitwise_and", "or": "bitwise_or",
    "xor": "bitwise_xor", "lshift": "bitwise_left_shift", "rshift": "bitwise_right_shift",
}
_COMPARISONS = {"eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater",
                "ge": "greater_equal"}
_UNARY = {"neg": "negative", "abs": "abs", "invert": "bitwise_invert"}


def _binary(name, reflected):
    def method(self, other):
        if not isinstance(other, (Array, *_NUMBERS)) or (name == "tv_matmul" and not isinstance(other, Array)):
            return NotImplemented
        return of(name, *((operand(other), self) if reflected else (self, operand(other))))

    return method


def _in_place(name):
    def method(self, other):
        if not isinstance(other, (Array, *_NUMBERS)):
            return NotImplemented
        result = of(name, self, operand(other))
        if result.shape != self.shape:
            raise ValueError(f"{name}: in place, {self.shape} would become {result.shape}")
        return result if result.dtype is self.dtype else of("tv_astype", result, self.dtype)

    return method


def _logical(name):
    """The bitwise operators of bool, as long as the library has no bitwise ops."""
    def method(self, other):
        is_bool = isinstance(other, bool) or (isinstance(other, Array) and other.dtype.kind == "b")
        if self.dtype.kind != "b" or not is_bool:
            return NotImplemented
        return of(name, self, operand(other))

    return method


def _install():
    for word, name in _BINARY.items():
        if native.has("tv_" + name):
            setattr(Array, f"__{word}__", _binary("tv_" + name, False))
            setattr(Array, f"__r{word}__", _binary("tv_" + name, True))
            setattr(Array, f"__i{word}__", _in_place("tv_" + name))
        elif word in ("and", "or", "xor"):
            for prefix in ("", "r", "i"):
                setattr(Array, f"__{prefix}{word}__", _logical("tv_logical_" + word))
    for word, name in _COMPARISONS.items():
        setattr(Array, f"__{word}__", _binary("tv_" + name, False))
    for word, name in _UNARY.items():
        if native.has("tv_" + name):
            setattr(Array, f"__{word}__", lambda self, name="tv_" + name: of(name, self))
    if not native.has("tv_bitwise_invert"):
        Array.__invert__ = lambda self: of("tv_logical_not", self) if self.dtype.kind == "b" else _refuse(self)


def _refuse(x):
    raise TypeError(f"~: {x.dtype}")


_install()
