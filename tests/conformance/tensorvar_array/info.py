# SPDX-License-Identifier: MIT
"""What the standard asks a namespace about itself."""

from . import native
from .dtypes import DEFAULT, of_kind


class Info:
    def capabilities(self):
        return {"boolean indexing": False, "data-dependent shapes": False,
                "max dimensions": 64}

    def default_device(self):
        return native.lib.tv_device_name(native.lib.tv_device_current()).decode()

    def default_dtypes(self, *, device=None):
        return dict(DEFAULT)

    def devices(self):
        return [native.lib.tv_device_name(i).decode() for i in range(native.lib.tv_device_count())]

    def dtypes(self, *, device=None, kind=None):
        return of_kind(kind)


def __array_namespace_info__():
    return Info()
