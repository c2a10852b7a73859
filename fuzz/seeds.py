# SPDX-License-Identifier: MIT
"""Inputs of the fuzz targets, in folders for libFuzzer and in lines for the tree.

    seeds.py make TARGET FOLDER      seeds by rule: npy, part, npz, safetensors or slice
    seeds.py unpack FILE.inputs FOLDER  lines into files
    seeds.py pack FOLDER FILE.inputs    files into lines, the shortest first

In a line, bytes that are no printable ASCII, and backslashes, are \\xHH; a line that begins with # says
something about the next.
"""

import hashlib
import io
import pathlib
import sys
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests"))
import npy_corpus  # noqa: E402

MOST_NPY = 700  # bytes: longer files teach a fuzzer nothing that short ones do not


def escaped(data):
    line = "".join(chr(b) if 32 <= b < 127 and b != 92 else f"\\x{b:02x}" for b in data)
    return "\\x23" + line[1:] if line.startswith("#") else line


def unescaped(line):
    pieces = line.split("\\x")
    return pieces[0].encode() + b"".join(bytes([int(p[:2], 16)]) + p[2:].encode() for p in pieces[1:])


def lines_of(path):
    """The inputs of a file of lines."""
    for line in pathlib.Path(path).read_text("ascii").split("\n")[:-1]:
        if not line.startswith("#"):
            yield unescaped(line)


def npy():
    for case in npy_corpus.Corpus().fixed():
        if len(case.data) <= MOST_NPY:
            yield case.data


def part():
    structured = [
        "[('a', '<f4'), ('b', '<i2')]", "[('a', '>f8'), ('', '|V3'), ('c', '|b1')]", "[('a', '<i2', (2,)), ('b', '<c8')]",
        "[('x', [('y', '<u2'), ('z', '|u1')]), ('w', '<f2')]", "[(('title', 'a'), '<i4'), ('b', '<U2')]"]
    texts = [b"", b":", b"0", b"-1", b"...", b"::2", b"::-1", b"1:, ::-2", b"..., None, 0", b"None, 1", b":1, 1:", b"5:"]
    for i, text in enumerate(texts):
        for shape, fortran in (((3,), False), ((2, 3), False), ((2, 3), True), ((2, 1, 2), True), ((0, 3), False)):
            case = npy_corpus.Corpus(i).valid("x", "i2" if i % 2 else "f4", "<>"[i % 3 == 0], shape, fortran)
            yield text + b"\n\n" + bytes([i + 20]) + case.data
            yield text + b"\n\n" + bytes([i]) + case.data
    for i, descr in enumerate(structured):
        for field in (b"a", b"b", b"c", b"x.y", b"x.z", b"w", b"title", b"x", b""):
            for shape in ((2,), (2, 2)):
                head = "{'descr': %s, 'fortran_order': %s, 'shape': %s, }" % (descr, i % 2 == 1, shape)
                yield texts[i] + b"\n" + field + b"\n\x20" + npy_corpus.file_of(npy_corpus.padded(head, align=16), bytes(range(64)))


def small(code="<i2", data=b"\1\0\2\0\3\0", shape=(3,)):
    return npy_corpus.file_of(npy_corpus.padded(npy_corpus.header(code, False, shape), align=16), data)


class Pipe(io.BytesIO):
    """What zipfile cannot seek in: sizes follow the data."""

    def seekable(self):
        return False

    def seek(self, *_):
        raise io.UnsupportedOperation

    def tell(self):
        raise io.UnsupportedOperation


def npz():
    members = {"w.npy": small(), "b.npy": small("|b1", b"\1\0", (2,)), "g\u00f6.npy": small("<f4", b"", (0, 2))}
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        for target in (io.BytesIO, Pipe):
            for count in range(len(members) + 1):
                for wide in (False, True):
                    out = target()
                    with zipfile.ZipFile(out, "w", method) as archive:
                        archive.comment = b"c" * (count % 2)
                        for name, data in list(members.items())[:count]:
                            member = zipfile.ZipInfo(name)
                            member.compress_type = method
                            with archive.open(member, "w", force_zip64=wide) as to:
                                to.write(data)
                    yield out.getvalue()


def safetensors():
    headers = [
        "{}", '{"__metadata__":{}}', '{"__metadata__":{"k":"v"}}',
        '{"a":{"dtype":"I16","shape":[3],"data_offsets":[0,6]}}',
        '{"a":{"shape":[],"data_offsets":[0,4],"dtype":"F32"}}  ',
        ' { "a" : { "dtype" : "BOOL" , "shape" : [ 1 , 2 ] , "data_offsets" : [ 0 , 2 ] } } ',
        '{"__metadata__":{"k":"\\u00e9\\ud83d\\ude00\\n"},"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},'
        '"b":{"dtype":"C64","shape":[0],"data_offsets":[2,2]},"c\\"":{"dtype":"BF16","shape":[1],"data_offsets":[2,4]}}',
    ]
    headers += ['{"a":{"dtype":"%s","shape":[1],"data_offsets":[0,%d]}}' % (name, size) for name, size in [
        ("U16", 2), ("I8", 1), ("I32", 4), ("U32", 4), ("F16", 2), ("F64", 8), ("I64", 8), ("U64", 8), ("F8_E4M3", 1)]]
    for text in headers:
        for n in (0, 2, 4, 6, 8):
            yield len(text).to_bytes(8, "little") + text.encode() + bytes(n)


def slice():
    texts = ["0", "-1", "1,2", "...", "..., 0", "None", ":, None", "1:3", "::-1", "::2, 1:", "-3:-1", ":None:2", "0, ..., 1",
             "+1", "- 2", "None, None, ..., ::-2", " 1 : 4 : 2 ,", "4::-3, :", "99999999999999999999:", "07", "00", "1,,2", "",
             ",", "::0", "5", "0:0", "x", "None:None:None", "1:2:3:4", "....", ". ..", "\t1\n,\r2\f"]
    for text in texts:
        for shape in (b"\0", b"\1\5", b"\2\3\4", b"\3\2\3\4", b"\4\2\0\3\1"):
            yield shape + text.encode()


def write(folder, inputs):
    folder.mkdir(parents=True, exist_ok=True)
    for data in inputs:
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


def main():
    word, first, second = sys.argv[1:4]
    if word == "make":
        write(pathlib.Path(second), {"npy": npy, "part": part, "npz": npz, "safetensors": safetensors, "slice": slice}[first]())
    elif word == "unpack":
        write(pathlib.Path(second), lines_of(first))
    elif word == "pack":
        inputs = sorted((path.read_bytes() for path in pathlib.Path(first).iterdir()), key=lambda data: (len(data), data))
        pathlib.Path(second).write_text("".join(escaped(data) + "\n" for data in inputs), "ascii")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
