# SPDX-License-Identifier: MIT
"""Gradients: a tape that is open for the length of a `with`."""

import ctypes

from . import native, recorder
from .array import Array


class Tape:
    def __enter__(self):
        self._scope = native.Scope().__enter__()
        self.handle = native.lib.tv_tape_begin(None)
        native.raise_failure()
        self.made = recorder.add("tv_tape *{name} = tv_tape_begin(NULL);", [], "text")
        return self

    def __exit__(self, *_):
        native.lib.tv_tape_end(self.handle)
        native.lib.tv_error_clear()
        recorder.add("tv_tape_end({0});", [recorder.Stand(self.made)], "text")
        self._scope.__exit__()

    def watch(self, *arrays):
        for x in arrays:
            recorder.add("tv_tape_watch({0}, {1});", [recorder.Stand(self.made), x], "text")
            native.lib.tv_tape_watch(self.handle, x.handle)
            native.raise_failure()

    def gradient(self, target, sources):
        """Gradients of the sum of the target by each source."""
        n = len(sources)
        given = (ctypes.c_void_p * n)(*[x.handle for x in sources])
        found = (ctypes.c_void_p * n)()
        called = recorder.add(f"tv_tensor *g{{name}}[{n}]; tv_tape_gradient_of({{0}}, {{1}}, {{2}}, g{{name}});",
                              [recorder.Stand(self.made), target, native.Handles(sources)], "text")
        with native.Scope():
            native.lib.tv_tape_gradient_of(self.handle, target.handle, n, given, found)
            handles = [native.lib.tv_retain(g) if g else None for g in found]
        native.raise_failure()
        return [Array(h, recorder.add(f"tv_tensor *{{name}} = g{{0}}[{i}];", [recorder.Stand(called)], "value"))
                for i, h in enumerate(handles)]


def gradients(function, arrays):
    """Gradients of sum(function(*arrays)) by each array."""
    with Tape() as tape:
        tape.watch(*arrays)
        return tape.gradient(function(*arrays), list(arrays))
