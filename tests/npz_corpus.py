# SPDX-License-Identifier: MIT
"""A corpus of .npz files made by rule, byte by byte: well-formed archives in every variety that APPNOTE.TXT
allows and writers use, and each rule of the format broken alone and together with each other.

What a good archive holds is known here, not asked of a reader. A bad one is "refuse", or "unsummed" where
only a checksum is wrong, which a map does not compare.
"""

import itertools
import random
import struct
import zlib

import npy_corpus

FULL16, FULL32 = 0xFFFF, 0xFFFFFFFF
UTF8 = 1 << 11


class Case:
    def __init__(self, name, data, verdict, arrays=(), why=""):
        self.name, self.data, self.verdict = name, data, verdict
        self.arrays = list(arrays)  # (name, dtype, shape, elements in C order as little-endian bytes)
        self.why = why  # a part of the message that refuses it


def deflated(data, level=6, strategy=zlib.Z_DEFAULT_STRATEGY):
    packer = zlib.compressobj(level, zlib.DEFLATED, -15, 8, strategy)
    return packer.compress(data) + packer.flush()


def field(id_, data):
    return struct.pack("<HH", id_, len(data)) + data


class Member:
    """What is written of one member; each part may be set to something else before it is."""

    def __init__(self, name, data, deflate=None):
        self.name, self.data = name.encode() if isinstance(name, str) else name, data
        self.packed = data if deflate is None else deflate
        self.method = 0 if deflate is None else 8
        self.flags = UTF8 if any(b > 127 for b in self.name) else 0
        self.version, self.crc = 20, zlib.crc32(data)
        self.size, self.packed_size, self.at, self.disk = len(data), len(self.packed), None, 0
        self.wide = set()  # of size, packed_size, at, disk: those that stand in the zip64 field of the entry
        self.wide_field = None  # that field, where it is not what `wide` says
        self.entry_extra, self.entry_comment = b"", b""
        self.local_signature, self.entry_signature = b"PK\3\4", b"PK\1\2"
        self.local_name, self.local_method, self.local_flags = None, None, None
        self.local_crc, self.local_sizes, self.local_extra = None, None, b""
        self.local_extra_length = None
        self.before, self.behind = b"", b""  # bytes between members; a data descriptor is `behind`

    def local(self):
        name = self.name if self.local_name is None else self.local_name
        method = self.method if self.local_method is None else self.local_method
        flags = self.flags if self.local_flags is None else self.local_flags
        crc = self.crc if self.local_crc is None else self.local_crc
        packed_size, size = (self.packed_size, self.size) if self.local_sizes is None else self.local_sizes
        extra_length = len(self.local_extra) if self.local_extra_length is None else self.local_extra_length
        return (self.local_signature
                + struct.pack("<HHHHHIIIHH", self.version, flags, method, 0, 33, crc & FULL32, packed_size & FULL32,
                              size & FULL32, len(name) & FULL16, extra_length) + name + self.local_extra + self.packed + self.behind)

    def entry(self, at):
        at = at if self.at is None else self.at
        wide = b"".join(struct.pack("<Q", value) for key, value in
                        [("size", self.size), ("packed_size", self.packed_size), ("at", at)] if key in self.wide)
        wide += struct.pack("<I", self.disk) if "disk" in self.wide else b""
        wide = (field(1, wide) if self.wide else b"") if self.wide_field is None else self.wide_field
        extra = self.entry_extra + wide

        def narrow(key, value):
            return FULL32 if key in self.wide else value & FULL32

        return (self.entry_signature
                + struct.pack("<HHHHHHIIIHHHHHII", self.version, self.version, self.flags, self.method, 0, 33, self.crc & FULL32,
                              narrow("packed_size", self.packed_size), narrow("size", self.size), len(self.name) & FULL16,
                              len(extra), len(self.entry_comment), FULL16 if "disk" in self.wide else self.disk, 0, 0,
                              narrow("at", at)) + self.name + extra + self.entry_comment)


class Archive:
    def __init__(self, *members):
        self.members = list(members)
        self.order = None  # of the entries
        self.before, self.gap, self.behind_directory = b"", b"", b""
        self.end_signature, self.comment, self.comment_length, self.tail = b"PK\5\6", b"", None, b""
        self.disks, self.count, self.count_here, self.directory_size, self.directory_at = (0, 0), None, None, None, None
        self.wide_end = False
        self.narrow = {"count", "size", "at"}  # of the end record: those that say what they can beside zip64
        self.end64 = {}  # signature, bytes, disk, disk_of_directory, count_here, count, size, at
        self.locator = {}  # signature, disk, at, disks
        self.cut = None

    def build(self):
        out, places = self.before, []
        for m in self.members:
            out += m.before
            places.append(len(out))
            out += m.local()
        out += self.gap
        at = len(out) if self.directory_at is None else self.directory_at
        directory = b"".join(self.members[i].entry(places[i]) for i in self.order or range(len(self.members)))
        out += directory + self.behind_directory
        size = len(directory) if self.directory_size is None else self.directory_size
        count = len(self.members) if self.count is None else self.count
        here = count if self.count_here is None else self.count_here
        narrow = [here, count, size, at]
        if self.wide_end:
            e, l = self.end64, self.locator
            place = len(out)
            out += (e.get("signature", b"PK\6\6") + struct.pack(
                "<QHHIIQQQQ", e.get("bytes", 44), 45, 45, e.get("disk", 0), e.get("disk_of_directory", 0),
                e.get("count_here", here), e.get("count", count), e.get("size", size), e.get("at", at)))
            out += l.get("signature", b"PK\6\7") + struct.pack("<IQI", l.get("disk", 0), l.get("at", place), l.get("disks", 1))
            narrow = [value if key in self.narrow else full for key, value, full in zip(
                ["count", "count", "size", "at"], narrow, [FULL16, FULL16, FULL32, FULL32])]
        comment = len(self.comment) if self.comment_length is None else self.comment_length
        out += self.end_signature + struct.pack("<HHHHIIH", *self.disks, narrow[0] & FULL16, narrow[1] & FULL16,
                                                narrow[2] & FULL32, narrow[3] & FULL32, comment) + self.comment + self.tail
        return out[:self.cut]


class Corpus:
    def __init__(self, seed=1):
        self.random = random.Random(seed)
        self.npy = npy_corpus.Corpus(seed)

    def array(self, code="i2", order="<", shape=(3,), fortran=False, tail=b""):
        return self.npy.valid("x", code, order, shape, fortran, tail=tail)

    def two(self, deflate=False):
        """An archive of two members, and its arrays."""
        first, second = self.array(), self.array("b1", "|", (2,))
        pack = deflated if deflate else lambda data: None
        archive = Archive(Member("w.npy", first.data, pack(first.data)), Member("b.npy", second.data, pack(second.data)))
        return archive, [("w", first.dtype, first.shape, first.content), ("b", second.dtype, second.shape, second.content)]

    # -- well-formed ------------------------------------------------------------------------------

    def good(self, name, change=lambda archive: None, deflate=False, swap=False):
        archive, arrays = self.two(deflate)
        change(archive)
        return Case(name, archive.build(), "accept", arrays[::-1] if swap else arrays)

    def well_formed(self):
        yield Case("empty", Archive().build(), "accept")
        for deflate in (False, True):
            kind = "deflated" if deflate else "stored"
            yield from self.forms(kind, deflate)
            yield from self.zip64(kind, deflate)
        for code, order, fortran in itertools.product(npy_corpus.DTYPES, "<>", (False, True)):
            x = self.array(code, order, (2, 3), fortran)
            for pack in (None, deflated(x.data)):
                data = Archive(Member("x.npy", x.data, pack)).build()
                yield Case(f"dtype-{code}-{'lg'['<>'.index(order)]}-{fortran}-{pack is not None}", data, "accept",
                           [("x", x.dtype, x.shape, x.content)])
        x = self.array("u1", "|", (5000,))
        for level, strategy in itertools.product((0, 1, 9), (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY)):
            data = Archive(Member("x.npy", x.data, deflated(x.data, level, strategy))).build()
            yield Case(f"deflate-{level}-{strategy}", data, "accept", [("x", x.dtype, x.shape, x.content)])
        for tail in (b"\0", bytes(5000)):
            x = self.array(tail=tail)
            for pack in (None, deflated(x.data)):
                yield Case(f"tail-{len(tail)}-{pack is not None}", Archive(Member("x.npy", x.data, pack)).build(), "accept",
                           [("x", x.dtype, x.shape, x.content)])
        names = ["a", "a.npy.npy", ".npy.npy", "layer/w", "a b", "...", "a..", "..a", "a/.../b", "\u00b5", "\u4e2d\u6587", "\U0001f600",
                 "x" * 64000, "a\n\t", "C:x", "%n%s", "'\"", "-", "."]
        for i, name in enumerate(names):
            x = self.array()
            kept = name if not name.endswith(".npy") else name[:-4]
            yield Case(f"name-{i}", Archive(Member(name + ".npy", x.data)).build(), "accept", [(name, x.dtype, x.shape, x.content)])
            yield Case(f"bare-name-{i}", Archive(Member(name, x.data)).build(), "accept", [(kept, x.dtype, x.shape, x.content)])
        many = [(f"a{i}", self.array("u1", "|", (i % 3,))) for i in range(300)]
        yield Case("many", Archive(*(Member(n + ".npy", x.data) for n, x in many)).build(), "accept",
                   [(n, x.dtype, x.shape, x.content) for n, x in many])

    def forms(self, kind, deflate):
        def case(name, change, swap=False):
            return self.good(f"{kind}-{name}", change, deflate, swap)

        yield case("plain", lambda a: None)
        for n in (1, 100, 65535):
            yield case(f"comment-{n}", lambda a: setattr(a, "comment", b"c" * n))
        yield case("comment-of-signatures", lambda a: setattr(a, "comment", b"PK\1\2PK\3\4PK\6\6PK\6\7"))
        yield case("order", lambda a: setattr(a, "order", [1, 0]), swap=True)
        yield case("gap-before-directory", lambda a: setattr(a, "gap", b"gap"))
        yield case("gap-between", lambda a: setattr(a.members[1], "before", b"PK\3\4" + bytes(70)))
        for version in (10, 20, 45, 63, 63 | 3 << 8):
            yield case(f"version-{version}", lambda a: [setattr(m, "version", version) for m in a.members])
        for flags in (2, 4, 6, UTF8):
            yield case(f"flags-{flags}", lambda a: [setattr(m, "flags", flags) for m in a.members])
        for key in ("local_extra", "entry_extra"):
            for extra in (field(0xD935, bytes(36)), field(0x5455, b"\1\0\0\0\0") + field(0x7875, b""), b"\0", b"\1\0\0"):
                yield case(f"{key}-{extra[:4].hex()}", lambda a: setattr(a.members[0], key, extra))
        yield case("entry-comment", lambda a: setattr(a.members[0], "entry_comment", b"about w"))

        def described(m, signature, code):
            m.flags |= 8
            m.local_crc, m.local_sizes = 0, (0, 0)
            m.behind = signature + struct.pack("<I" + code * 2, m.crc, m.packed_size, m.size)

        for signature, code in itertools.product((b"", b"PK\7\x08"), "IQ"):
            yield case(f"descriptor-{len(signature)}-{code}",
                       lambda a: [described(m, signature, code) for m in a.members])
        # A member's own sizes and checksum are none of a reader's business.
        yield case("local-sizes-lie", lambda a: setattr(a.members[0], "local_sizes", (1, 2)))
        yield case("local-crc-lies", lambda a: setattr(a.members[0], "local_crc", 7))

    def zip64(self, kind, deflate):
        for n in range(1, 5):
            for wide in itertools.combinations(("size", "packed_size", "at", "disk"), n):
                yield self.good(f"{kind}-wide-{'-'.join(wide)}", lambda a: [setattr(m, "wide", set(wide)) for m in a.members], deflate)

        def local_field(m, narrow):
            m.local_extra = field(1, struct.pack("<QQ", m.size, m.packed_size))
            m.local_sizes = (m.packed_size, m.size) if narrow else (FULL32, FULL32)
            m.version = 45

        for narrow in (False, True):  # Python 3.13 and later, and 3.11
            yield self.good(f"{kind}-local-wide-{narrow}", lambda a: [local_field(m, narrow) for m in a.members], deflate)
        for n in range(4):
            for narrow in itertools.combinations(("count", "size", "at"), n):
                def change(a):
                    a.wide_end, a.narrow = True, set(narrow)

                yield self.good(f"{kind}-wide-end-{'-'.join(narrow)}", change, deflate)

        def everything(a):
            a.wide_end, a.narrow, a.comment = True, set(), b"all"
            for m in a.members:
                m.wide = {"size", "packed_size", "at"}
                local_field(m, False)
                m.entry_extra, m.local_extra = field(0x5455, b"\1\0\0\0\0"), m.local_extra + field(0xD935, bytes(9))

        yield self.good(f"{kind}-wide-everything", everything, deflate)

    # -- malformed --------------------------------------------------------------------------------

    def faults(self):
        """(name, what must be there for it, change, why): each is refused for itself."""
        def first(**values):
            return lambda a: [setattr(a.members[0], key, value) for key, value in values.items()]

        def whole(**values):
            return lambda a: [setattr(a, key, value) for key, value in values.items()]

        def bit(n):
            return lambda a: setattr(a.members[0], "flags", a.members[0].flags | 1 << n)

        yield "encrypted", bit(0), "encrypted"
        yield "strongly-encrypted", bit(6), "encrypted"
        yield "masked", bit(13), "encrypted"
        yield "patch", bit(5), "a patch"
        yield "version", first(version=64), "after version 6.3"
        for method in (1, 6, 9, 12, 14, 93, 95, 98, 99, FULL16):
            yield f"method-{method}", first(method=method), "packed neither as stored nor as deflated"
        yield "name-empty", first(name=b""), "a name without characters"
        yield "name-nul", first(name=b"a\0.npy"), "a name with NUL"
        yield "name-root", first(name=b"/w.npy"), "an absolute path"
        yield "name-root-dos", first(name=b"\\w.npy"), "an absolute path"
        for i, name in enumerate((b"../w", b"a/../w", b"a\\..\\w", b"a/..", b"..")):
            yield f"name-up-{i}", first(name=name), "'..' as a part"
        for i, name in enumerate((b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"a\xe4")):
            yield f"name-utf8-{i}", first(name=name, flags=UTF8), "not UTF-8"
        yield "name-beyond-ascii", first(name="\u00b5".encode(), flags=0), "not said to be UTF-8"
        yield "name-long", first(name=b"x" * 65001), "more than 65000 bytes"
        yield "name-twice", first(name=b"b.npy"), "twice"
        yield "name-twice-bare", first(name=b"b"), "twice"
        yield "size-other", lambda a: setattr(a.members[0], "size", a.members[0].size + 1), "a stored member of two sizes"
        yield "disk", first(disk=1), "on another disk"
        yield "entry-cut", lambda a: setattr(a.members[1], "entry_extra", field(9, b"")[:2] + b"\x40\0"), "an extra field that is cut"
        yield "second-name", first(entry_extra=field(0x7075, b"\1\0\0\0\0v")), "a second name"
        yield "wide-twice", first(wide_field=field(1, bytes(8)) * 2), "two zip64 fields"
        yield "wide-short", first(wide={"size", "packed_size"}, wide_field=field(1, bytes(8))), "a zip64 field that is cut short"
        yield "wide-none", first(wide={"at"}, wide_field=b""), ""
        yield "wide-disk-short", first(wide={"disk"}, wide_field=field(1, b"\0\0\0")), "on another disk"
        yield "wide-size-huge", first(wide={"size", "packed_size"}, wide_field=field(1, b"\xff" * 16)), "overlaps the next"
        yield "wide-at-huge", first(wide={"at"}, wide_field=field(1, b"\xff" * 8)), "overlaps the next"
        yield "entry-signature", first(entry_signature=b"PK\1\3"), "no entry of the directory"
        yield "local-signature", first(local_signature=b"PK\3\5"), "no signature of a member"
        yield "local-name", first(local_name=b"v.npy"), "disagrees with the directory"
        yield "local-name-length", first(local_name=b"w.npyz"), "disagrees with the directory"
        yield "local-method", lambda a: setattr(a.members[0], "local_method", 0 if a.members[0].method == 8 else 8), "disagrees with the directory"
        yield "local-encrypted", first(local_flags=1), "disagrees with the directory"
        yield "local-extra-far", first(local_extra_length=60000), "overlaps the next"
        yield "local-extra-1", first(local_extra_length=1), ""
        yield "at-other", lambda a: setattr(a.members[1], "at", 1), "overlaps the next"
        yield "at-same", lambda a: setattr(a.members[1], "at", 0), "overlaps the next"
        yield "at-end", lambda a: setattr(a.members[1], "at", 2**31), "overlaps the next"
        yield "packed-more", lambda a: setattr(a.members[0], "packed_size", a.members[0].packed_size + 500), ""
        yield "junk-before", whole(before=b"junk"), ""
        yield "member-before", lambda a: setattr(a.members[0], "before", b"#!/bin/sh\n"), "bytes in front of the first member"
        yield "junk-behind", whole(tail=b"junk"), ""
        yield "junk-behind-directory", whole(behind_directory=b"junk"), "a directory that does not end where"
        yield "comment-more", whole(comment_length=9), "no end record"
        yield "end-signature", whole(end_signature=b"PK\5\7"), "no end record"
        yield "disk-number", whole(disks=(1, 0)), "several disks"
        yield "disk-of-directory", whole(disks=(0, 1)), "several disks"
        yield "count-here", whole(count_here=1), "several disks"
        for n in (0, 1, 3, 65534):
            yield f"count-{n}", whole(count=n), ""
        for change in (-1, 1, -46, 46, 10**6):
            yield f"directory-size-{change}", lambda a, c=change: setattr(a, "directory_size", directory_size(a) + c), \
                "a directory that does not end where"
            yield f"directory-at-{change}", lambda a, c=change: setattr(a, "directory_at", directory_at(a) + c), \
                "a directory that does not end where"

        def wide(**values):
            def change(a):
                a.wide_end, a.narrow = True, set()
                for key, value in values.items():
                    record, part = key.split("_", 1)
                    getattr(a, record)[part] = value

            return change

        yield "wide-locator-at", wide(locator_at=5), "a zip64 locator of another place"
        yield "wide-locator-huge", wide(locator_at=2**64 - 1), "a zip64 locator of another place"
        yield "wide-locator-disk", wide(locator_disk=1), "a zip64 locator of another place or of several disks"
        yield "wide-locator-disks", wide(locator_disks=2), "a zip64 locator of another place or of several disks"
        yield "wide-locator-signature", wide(locator_signature=b"PK\6\x08"), "a directory that does not end where"
        yield "wide-end-signature", wide(end64_signature=b"PK\6\5"), "a zip64 end record of 56 bytes"
        yield "wide-end-bytes", wide(end64_bytes=45), "a zip64 end record of 56 bytes"
        yield "wide-end-disk", wide(end64_disk=1), "several disks"
        yield "wide-end-disk-2", wide(end64_disk_of_directory=1), "several disks"
        yield "wide-end-here", wide(end64_count_here=1), "several disks"
        for n in (2**16, 2**31, 2**63, 2**64 - 1):
            yield f"wide-end-count-{n}", wide(end64_count=n, end64_count_here=n), "members in"
            yield f"wide-end-size-{n}", wide(end64_size=n), "a directory that does not end where"
            yield f"wide-end-at-{n}", wide(end64_at=n), "a directory that does not end where"

        def disagrees(part):
            def change(a):
                a.wide_end, a.end64 = True, {part: 0, **({"count_here": 0} if part == "count" else {})}

            return change

        for part in ("count", "size", "at"):
            yield f"wide-end-disagrees-{part}", disagrees(part), "disagrees with the end record"

    def deflate_faults(self):
        def packed(change):
            def apply(a):
                m = a.members[0]
                m.packed = change(m.packed)
                m.packed_size = len(m.packed)

            return apply

        yield "deflate-cut", packed(lambda p: p[:-3]), ""
        yield "deflate-empty", packed(lambda p: b""), ""
        yield "deflate-block-type", packed(lambda p: b"\7" + p[1:]), ""
        yield "deflate-ones", packed(lambda p: b"\xff" * len(p)), ""
        yield "deflate-behind", packed(lambda p: p + b"\0"), ""
        yield "deflate-less", lambda a: setattr(a.members[0], "size", a.members[0].size - 1), ""
        yield "deflate-more", lambda a: setattr(a.members[0], "size", a.members[0].size + 1), ""
        yield "deflate-bomb", lambda a: setattr(a.members[0], "size", 1033 * (a.members[0].packed_size + 2)), "more than 1032 times"
        yield "deflate-bomb-wide", lambda a: [setattr(a.members[0], "size", 2**62), setattr(a.members[0], "wide", {"size"})], \
            "more than 1032 times"

    def singles(self):
        for deflate in (False, True):
            kind = "deflated" if deflate else "stored"
            for name, change, why in itertools.chain(self.faults(), self.deflate_faults() if deflate else ()):
                if deflate and name == "size-other":
                    continue
                archive, _ = self.two(deflate)
                change(archive)
                yield Case(f"{kind}-{name}", archive.build(), "refuse", why=why)
            for member in (0, 1):
                archive, _ = self.two(deflate)
                archive.members[member].crc ^= 1
                yield Case(f"{kind}-crc-{member}", archive.build(), "refuse" if deflate else "unsummed", why="found CRC-32")
            whole = self.two(deflate)[0].build()
            for n in range(len(whole)):
                yield Case(f"{kind}-cut-{n}", whole[:n], "refuse")
        bad = {"no-array": (b"text", "magic of a .npy"), "empty": (b"", "end of the file"), "nested": (Archive().build(), "zip archive"),
               "cut": (self.array().data[:-1], "expected 6 for shape [3]"), "pickle": (b"\x80\4N.", "pickle")}
        for name, (data, why) in bad.items():
            for pack in (None, deflated(data)):
                if data or pack is None:
                    yield Case(f"member-{name}-{pack is not None}", Archive(Member("x.npy", data, pack)).build(), "refuse", why=why)
        wide = Archive()
        wide.wide_end = True
        yield Case("empty-wide", wide.build(), "refuse", why="no signature of a member")
        x = self.array()
        yield Case("npy", x.data, "refuse", why="a .npy file")
        yield Case("overlap-of-many", overlap(x.data, 500), "refuse", why="overlaps the next")
        for i, data in enumerate((b"", b"PK", b"PK\3\4", b"PK\5\6", b"PK\5\6" * 30, bytes(22), bytes(100000))):
            yield Case(f"no-zip-{i}", data, "refuse")

    def pairs(self):
        """Two faults at once. Where one undoes the other, by a place that both write, the later one counts."""
        for deflate in (False, True):
            faults = list(itertools.chain(self.faults(), self.deflate_faults() if deflate else ()))
            for (i, a), (j, b) in itertools.combinations(enumerate(faults), 2):
                if deflate and "size-other" in (a[0], b[0]) or (a[0], b[0]) == ("deflate-less", "deflate-more"):
                    continue
                archive, _ = self.two(deflate)
                a[1](archive)
                b[1](archive)
                yield Case(f"pair-{deflate}-{a[0]}-{b[0]}", archive.build(), "refuse")

    def fixed(self):
        return itertools.chain(self.well_formed(), self.singles(), self.pairs())


def directory_size(archive):
    return sum(len(m.entry(0)) for m in archive.members)


def directory_at(archive):
    return len(archive.before) + sum(len(m.before) + len(m.local()) for m in archive.members) + len(archive.gap)


def overlap(data, count):
    """Many entries of one member: how small archives claim petabytes."""
    archive = Archive(*(Member(f"{i:06}.npy", data) for i in range(count)))
    members = archive.members
    entries = b"".join(m.entry(0) for m in members)
    local = members[0].local()
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, count, count, len(entries), len(local), 0)
    return local + entries + end
