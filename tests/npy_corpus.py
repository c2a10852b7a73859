# SPDX-License-Identifier: MIT
"""A corpus of .npy files made by rule, valid and malformed.

    npy_corpus.py FOLDER [SEED]     write NAME.npy files and manifest.jsonl

What a valid file holds is computed here from raw bytes, in plain Python: NumPy is only a second
oracle, for mutants. `verdict` is "accept", "refuse", or None where only NumPy can tell; then nothing
may be accepted that NumPy refuses, nor with other content.
"""

import itertools
import json
import pathlib
import random
import sys

MAGIC = b"\x93NUMPY"
# code in the file: our name, bytes of an element, bytes of a number in it
DTYPES = {
    "b1": ("bool", 1, 1), "i1": ("int8", 1, 1), "i2": ("int16", 2, 2), "i4": ("int32", 4, 4),
    "i8": ("int64", 8, 8), "u1": ("uint8", 1, 1), "u2": ("uint16", 2, 2), "u4": ("uint32", 4, 4),
    "u8": ("uint64", 8, 8), "f2": ("float16", 2, 2), "f4": ("float32", 4, 4),
    "f8": ("float64", 8, 8), "c8": ("complex64", 8, 4), "c16": ("complex128", 16, 8),
}


class Case:
    def __init__(self, name, data, verdict=None, dtype=None, shape=None, fortran=None, content=None, why=None):
        self.name, self.data, self.verdict = name, data, verdict
        self.why = why  # a part of the message that refuses it
        self.dtype, self.shape, self.fortran = dtype, shape, fortran
        self.content = content  # elements in C order, little-endian


def file_of(text, data=b"", version=(1, 0), length=None):
    text = text.encode("latin-1") if isinstance(text, str) else text
    width = 2 if version[0] == 1 else 4
    size = len(text) if length is None else length
    return MAGIC + bytes(version) + (size % 256**width).to_bytes(width, "little") + text + data


def padded(text, version=(1, 0), align=64):
    used = len(MAGIC) + 2 + (2 if version[0] == 1 else 4) + len(text) + 1
    return text + " " * (-used % align) + "\n"


def header(descr="<f4", fortran=False, shape=(2, 3)):
    return "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }" % (descr, fortran, shape)


def count(shape):
    n = 1
    for size in shape:
        n *= size
    return n


def c_order(data, item, shape, fortran):
    """The elements of `data`, which lie in file order, in C order."""
    if not fortran or not data:
        return data
    out = []
    for index in itertools.product(*map(range, shape)):
        at, step = 0, 1
        for i, size in zip(index, shape):
            at, step = at + i * step, step * size
        out.append(data[at * item:(at + 1) * item])
    return b"".join(out)


def swapped(data, number):
    return b"".join(data[i:i + number][::-1] for i in range(0, len(data), number))


class Corpus:
    def __init__(self, seed=1):
        self.random = random.Random(seed)

    def elements(self, code, n):
        if code == "b1":
            return bytes(self.random.randrange(2) for _ in range(n))
        return self.random.randbytes(n * DTYPES[code][1])

    def valid(self, name, code="f4", order="<", shape=(2, 3), fortran=False, version=(1, 0),
              text=None, tail=b""):
        dtype, item, number = DTYPES[code]
        raw = self.elements(code, count(shape))
        text = padded(header(order + code, fortran, shape), version) if text is None else text
        little = swapped(raw, number) if order == ">" and item > 1 else raw
        return Case(name, file_of(text, raw + tail, version), "accept", dtype, list(shape), fortran,
                    c_order(little, item, shape, fortran))

    def refused(self, name, text, data=bytes(24), version=(1, 0)):
        return Case(name, file_of(text, data, version), "refuse")

    # -- well-formed ------------------------------------------------------------------------------

    def well_formed(self):
        for code, order, version, fortran in itertools.product(
                DTYPES, "<>=|", [(1, 0), (2, 0), (3, 0)], [False, True]):
            yield self.valid(f"dtype-{code}-{'lgen'['<>=|'.index(order)]}-v{version[0]}-{fortran}",
                             code, order, (2, 3), fortran, version)
        for code in DTYPES:
            yield self.valid(f"no-order-{code}", code, "", (4,))
        for i, keys in enumerate(itertools.permutations(
                ["'descr': '<f4'", "'fortran_order': False", "'shape': (2, 3)"])):
            yield self.valid(f"keys-{i}", text="{" + ", ".join(keys) + "}")
            yield self.valid(f"keys-comma-{i}", text="{" + ", ".join(keys) + ",}\n")
        spellings = {
            "double-quotes": '{"descr": "<f4", "fortran_order": False, "shape": (2, 3)}',
            "tight": "{'descr':'<f4','fortran_order':False,'shape':(2,3)}",
            "loose": "{ 'descr' : '<f4' , 'fortran_order' : False , 'shape' : ( 2 , 3 , ) , } ",
            "lines": "{\n'descr':\n'<f4',\n'fortran_order':\nFalse,\n'shape':\n(\n2,\n3\n)\n}\n",
            "tabs": "{\t'descr':\t'<f4',\t'fortran_order':\tFalse,\t'shape':\t(2,\t3)\t}\t\n",
            "returns": "{\r\n'descr': '<f4',\r\n'fortran_order': False,\r\n'shape': (2, 3)}\r\n",
            "mlx": "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, )}",
            "old-numpy": padded("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}", align=16),
            "blank-first": "  \t{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}",
            "long": "{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 3L), }",
        }
        for name, text in spellings.items():
            yield self.valid(f"spelling-{name}", text=text)
        yield self.valid("spelling-long-v2", version=(2, 0), text=spellings["long"])
        for rank in range(65):
            shape = tuple(self.random.choice([1, 1, 1, 2]) if k < 12 else 1 for k in range(rank))
            yield self.valid(f"rank-{rank}", "i2", "<", shape, rank % 2 == 1)
        for shape in [(0,), (0, 3), (3, 0, 2), (0, 0), (1, 0), (0, 2**40), (2**31, 0), (1,), ()]:
            yield self.valid(f"shape-{'x'.join(map(str, shape))}", "f8", "<", shape)
            yield self.valid(f"shape-fortran-{'x'.join(map(str, shape))}", "f8", "<", shape, True)
        for pad in range(16):
            for code in ("i2", "f8", "c16"):
                yield self.valid(f"offset-{pad}-{code}", code, text=header("<" + code) + " " * pad)
        for length in (255, 256, 257, 9999, 10000, 10001, 65534, 65535):
            for version in ((1, 0), (2, 0), (3, 0)):
                yield self.valid(f"length-{length}-v{version[0]}", version=version,
                                 text=header().ljust(length - 1) + "\n")
        for n in (1, 7, 64, 1000):
            yield self.valid(f"tail-{n}", tail=self.random.randbytes(n))
        for n in (999, 65536 // 4 + 3):
            yield self.valid(f"size-{n}", shape=(n,))
            yield self.valid(f"size-f-{n}", shape=(n, 3), fortran=True)
        yield self.valid("cnpy", "u1", "<", text=padded("{'descr': '<u1', 'fortran_order': False, "
                                                        "'shape': (2, 3), }", align=16))

    # -- malformed --------------------------------------------------------------------------------

    def cut(self):
        for version in ((1, 0), (2, 0), (3, 0)):
            whole = self.valid("whole", version=version).data
            for n in range(len(whole)):
                yield Case(f"cut-v{version[0]}-{n}", whole[:n], "refuse")
        for length in (0, 1, 58, 119, 127, 60000, 65535):
            yield Case(f"hlen-{length}", file_of(padded(header()), bytes(24), (1, 0), length), "refuse")
        for length in (2**31 - 1, 2**31, 2**32 - 13, 2**32 - 12, 2**32 - 1, 65536, 10**6):
            yield Case(f"hlen-v2-{length}", file_of(padded(header()), bytes(24), (2, 0), length), "refuse")
        yield Case("header-65536", file_of(header().ljust(65536), bytes(24), (2, 0)), "refuse")
        yield Case("header-million", file_of(header().ljust(10**6), bytes(24), (2, 0)), "refuse")

    def wrong_start(self):
        whole = self.valid("whole").data
        for i in range(6):
            for byte in (0, whole[i] ^ 1, whole[i] ^ 0x80):
                yield Case(f"magic-{i}-{byte}", whole[:i] + bytes([byte]) + whole[i + 1:], "refuse")
        for major, minor in itertools.product((0, 1, 2, 3, 4, 255), (0, 1, 255)):
            if (major, minor) not in ((1, 0), (2, 0), (3, 0)):
                yield Case(f"version-{major}-{minor}", MAGIC + bytes([major, minor]) + whole[8:], "refuse")
        yield Case("version-1-as-2", whole[:6] + b"\2" + whole[7:], "refuse")
        yield Case("version-2-as-1",
                   (lambda d: d[:6] + b"\1" + d[7:])(self.valid("v2", version=(2, 0)).data), "refuse")
        others = {"empty": b"", "zip": b"PK\3\4" + bytes(40), "zip-empty": b"PK\5\6" + bytes(18),
                  "gzip": b"\x1f\x8b\x08" + bytes(30), "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(40),
                  "pickle": b"\x80\x04\x95" + bytes(30), "zeros": bytes(100), "ones": b"\xff" * 100,
                  "safetensors": (40).to_bytes(8, "little") + b'{"a": 1}',
                  "lfs": b"version https://git-lfs.github.com/spec/v1\n", "text": b"hello, world\n",
                  "utf8": whole.decode("latin-1").encode("utf-8"), "bom": b"\xef\xbb\xbf" + whole,
                  "utf16": whole.decode("latin-1").encode("utf-16"), "half-magic": b"\x93NU"}
        for name, data in others.items():
            yield Case(f"other-{name}", data, "refuse")

    def wrong_syntax(self):
        good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"
        tokens = ["{", "'descr'", ":", "'<f4'", ",", "'fortran_order'", ":", "False", ",", "'shape'",
                  ":", "(", "2", ",", "3", ")", "}"]
        for i in range(len(tokens)):
            missing, doubled = tokens[:i] + tokens[i + 1:], tokens[:i] + [tokens[i]] + tokens[i:]
            yield Case(f"missing-{i}", file_of(" ".join(missing), bytes(24)))
            yield Case(f"doubled-{i}", file_of(" ".join(doubled), bytes(24)))
            for j in range(i + 1, len(tokens)):
                mixed = list(tokens)
                mixed[i], mixed[j] = mixed[j], mixed[i]
                yield Case(f"swapped-{i}-{j}", file_of(" ".join(mixed), bytes(24)))
        texts = {
            "nothing": "", "blank": " " * 100, "only-brace": "{", "braces": "{}", "before": "x" + good,
            "after": good + "x", "after-brace": good + "}", "twice": good + good, "hash": good + " # c",
            "semicolon": good + ";", "plus": good + "+{}", "list": "[" + good + "]", "paren": f"({good})",
            "json": '{"descr": "<f4", "fortran_order": false, "shape": [2, 3]}', "dict": "dict()",
            "quotes-differ": good.replace("'descr'", "'descr\""), "open-quote": good.replace("f4'", "f4"),
            "triple": good.replace("'descr'", "'''descr'''"), "u-prefix": good.replace("'descr'", "u'descr'"),
            "b-prefix": good.replace("'<f4'", "b'<f4'"), "joined": good.replace("'<f4'", "'<f' '4'"),
            "escape": good.replace("'<f4'", "'<f\\x34'"), "backslash": good.replace("<f4", "<f4\\"),
            "extra-key": good.replace("}", "'x': 1}"), "extra-none": good.replace("}", "None: 1}"),
            "no-colon": good.replace("'shape':", "'shape'"), "two-commas": good.replace(", }", ",, }"),
            "comma-first": good.replace("{", "{,"), "double-brace": "{" + good + "}",
            "comment": good.replace(", 'shape'", ", #x\n 'shape'"), "continued": good.replace(", 's", ", \\\n's"),
            "form-feed": good.replace(", 's", ",\f's"), "nbsp": good.replace(", 's", ",\xa0's"),
            "vertical": good.replace(", 's", ",\v's"), "newline-indent": "\n " + good,
        }
        for name, text in texts.items():
            yield Case(f"syntax-{name}", file_of(text, bytes(24)),
                       None if name == "newline-indent" else "refuse")
        for key in ("descr", "fortran_order", "shape"):
            for wrong in (key.upper(), key + " ", " " + key, key[:-1], key + "\0", key + "s", ""):
                yield self.refused(f"key-{key}-{wrong.encode().hex()}", good.replace(f"'{key}'", f"'{wrong}'"))
        pairs = ["'descr': '<f4'", "'fortran_order': False", "'shape': (2, 3)"]
        other = ["'descr': '<f8'", "'fortran_order': True", "'shape': (3, 2)"]
        for i in range(3):
            yield self.refused(f"no-key-{i}", "{" + ", ".join(pairs[:i] + pairs[i + 1:]) + "}")
            yield self.refused(f"key-twice-{i}", "{" + ", ".join(pairs + [pairs[i]]) + "}")
            yield self.refused(f"key-twice-other-{i}", "{" + ", ".join(pairs + [other[i]]) + "}")

    def wrong_values(self):
        shapes = ["(-1,)", "(-12,)", "(-1, 4)", "(2, -3)", "(True, 3)", "(2.0, 3)", "(2., 3)", "('2', 3)",
                  "(None, 3)", "((2, 3))", "((2, 3),)", "[2, 3]", "{2, 3}", "2", "(2)", "(6)", "6,", "2, 3",
                  "(2 3)", "(,)", "(2,,3)", "(,2)", "(02, 3)", "(00,)", "(+2, 3)", "(2+0, 3)", "(1*2, 3)",
                  "(0x2, 3)", "(0b10, 3)", "(2_0, 3)", "(1e1, 3)", "(2j, 3)", "(2l, 3)", "(2 L, 3)", "(2LL, 3)",
                  "(L, 3)", "(2, 3", "2, 3)", "(2, 3))", "(2; 3)", "(2, 3,,)", "()(", "None", "True", "''",
                  "'(2, 3)'", "(\u0662, 3)".encode().decode("latin-1"), "(2\xb2, 3)", "(*(2,), 3)", "tuple()",
                  "(2,3)+()", "(inf,)", "(nan,)", "(1,)*3", "(~1, 3)", "(- 1, 3)", "(2 , 3) ()"]
        big = [2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**64 + 6, 2**65]
        shapes += [f"({n},)" for n in big] + [f"({n}, {m})" for n in (2**31, 2**32, 2**62) for m in (2, 2**32)]
        shapes += [f"(0, {2**62})", f"({2**40}, 0, {2**40})", f"({2**63}, 0)", "(7,)", "(2, 4)", "(1000000,)",
                   "(" + "9" * 5000 + ",)", "(" + "0" * 5000 + ",)", "(" + "1, " * 65 + ")", "(" + "1, " * 5000 + ")",
                   "(" + "0, " * 65 + ")", "(" * 10000, "(" * 5000 + "2, 3" + ")" * 5000, "(2, 3)" + ")" * 9000,
                   "-" * 10000 + "2", "(" + "-" * 9000 + "2,)", "(" + "," * 9000 + ")"]
        for i, text in enumerate(shapes):
            yield self.refused(f"shape-{i}", header(shape=text))
        yield self.refused("long-v3", header(shape="(2L, 3L)"), version=(3, 0))
        for i, text in enumerate(["true", "false", "TRUE", "0", "1", "None", "'True'", "False_", "Falsey", "False.",
                                  "False1", "not True", "1 == 1", "FalseTrue", "", "False False", "Fals", "(True)",
                                  "False or True", "0.0", "[]", "False\xe9"]):
            yield self.refused(f"order-{i}", header(fortran=text))
        descrs = ["<f", "<f0", "<f1", "<f3", "<f5", "<f16", "<g", "<c4", "<c32", "<i3", "<i16", "<b2", "b2", "<u0", "<U3",
                  "|S4", "S", "a3", "<M8", "<M8[ns]", "<m8[us]", "|O", "O8", "|V2", "<V2", "|V1", "|V8", "?", "f", "d", "float32",
                  "float", "int", "bool", "<<f4", "><f4", "<f4 ", " <f4", "< f4", "<f4,", "<f4,<f4", "3<f4", "(3,)<f4",
                  "<f4294967300", "<f99999999999999999999", "<f04", "<f+4", "<f-4", "<F4", "!f4", "@f4", "f4<", "\x93f4",
                  "", "<", "=", "<f\0004", "<f4\0", "%n%n", "%s", "b", "i", "b3", "u", "<e", "<l", "q", "f4f4"]
        for i, text in enumerate(descrs):
            yield self.refused(f"descr-{i}", header(descr=text))
        for i, text in enumerate(["<f4", "None", "4", "['<f4']", "[('a', '<f4')]", "('<f4', (2,))", "{'names': ['a']}",
                                  "('<f4',)", "[]", "()", "('<f4')", "['<f4'", "True", "float", "'<f4' + ''",
                                  "[('a', '|O')]", "[('', '<f4'), ('x', '<i4', (2, 2))]"]):
            yield self.refused(f"descr-value-{i}",
                               "{'descr': %s, 'fortran_order': False, 'shape': (2, 3), }" % text)
        for i, text in enumerate(["__import__('os').abort()", "exec('1')", "open('x', 'w')", "lambda: 0", "1/0",
                                  "[i for i in (2, 3)]", "f'{1}'", "(yield)", "...", "@", "$(reboot)", "\x1b[2J"]):
            for key in ("descr", "fortran_order", "shape"):
                good = {"descr": "'<f4'", "fortran_order": "False", "shape": "(2, 3)"}
                good[key] = text
                yield self.refused(f"code-{key}-{i}", "{" + ", ".join(f"'{k}': {v}" for k, v in good.items()) + "}")
        object_array = header("|O", shape=(1,))
        yield self.refused("object", object_array, b"\x80\x04cos\nabort\n(tR.")

    def wrong_bytes(self):
        good = header()
        for i in range(len(good)):
            for byte in (0, 1, 0x7F, 0x80, 0xFF):
                text = good.encode()
                yield self.refused(f"byte-{byte}-{i}", text[:i] + bytes([byte]) + text[i:])
        for i, text in enumerate(["\ufeff" + header(), header().replace("'", "\u2019"), header().replace("f", "\u0444"),
                                  header().replace(":", "\uff1a")]):
            for version in ((1, 0), (3, 0)):
                yield self.refused(f"unicode-{i}-v{version[0]}", text.encode("utf-8"), version=version)
        yield self.refused("null-padding", header().ljust(117, "\0") + "\n")
        bad = self.valid("bool", "b1", "|", (2, 3)).data
        for i in range(6):
            for byte in (2, 255):
                at = len(bad) - 6 + i
                yield Case(f"bool-{byte}-{i}", bad[:at] + bytes([byte]) + bad[at + 1:], "refuse")

    # -- mutants ----------------------------------------------------------------------------------

    def mutants(self, n):
        pool = [c.data for c in self.well_formed() if len(c.data) < 400]
        words = [b"'descr'", b"'shape'", b"'fortran_order'", b"True", b"False", b"(", b")", b",", b":", b"'", b'"',
                 b"{", b"}", b"L", b"0", b"1", b"-1", b" ", b"\n", b"\t", b"\r", b"\0", b"'<f4'", b"'>i8'", b"(3,)", b"9" * 20]
        for i in range(n):
            data = bytearray(self.random.choice(pool))
            for _ in range(self.random.choice([1, 1, 1, 2, 3])):
                end = min(len(data), 90)
                at, kind = self.random.randrange(end), self.random.randrange(6)
                if kind == 0:
                    data[at] = self.random.randrange(256)
                elif kind == 1:
                    data[at] ^= 1 << self.random.randrange(8)
                elif kind == 2:
                    del data[at:at + self.random.choice([1, 1, 2, 5])]
                elif kind == 3:
                    data[at:at] = self.random.choice(words)
                elif kind == 4:
                    other, size = self.random.randrange(end), self.random.randrange(1, 8)
                    data[at:at + size] = data[other:other + size]
                else:
                    word = self.random.choice(words)
                    data[at:at + len(word)] = word
            if self.random.random() < 0.7 and len(data) > 12:  # so that the text is read to its end
                version, text_end = data[6], data.find(b"\n", 10) + 1
                if version == 1 and text_end:
                    data[8:10] = (text_end - 10).to_bytes(2, "little")
            yield Case(f"mutant-{i}", bytes(data))

    def spaces(self, n):
        """Valid headers with white space of every kind between tokens: Python indents, we do not."""
        tokens = ["", "{", "'descr'", ":", "'<f4'", ",", "'fortran_order'", ":", "False", ",", "'shape'",
                  ":", "(", "2", ",", "3", ",", ")", ",", "}", ""]
        for i in range(n):
            text = "".join(t + "".join(self.random.choice(" \t\r\n") for _ in range(self.random.choice([0, 0, 1, 2])))
                           for t in tokens)
            yield Case(f"spaces-{i}", file_of(text, bytes(24), self.random.choice([(1, 0), (3, 0)])))

    def fixed(self):
        return itertools.chain(self.well_formed(), self.cut(), self.wrong_start(), self.wrong_syntax(),
                               self.wrong_values(), self.wrong_bytes())


def main():
    folder = pathlib.Path(sys.argv[1])
    corpus = Corpus(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "manifest.jsonl", "w") as manifest:
        for case in itertools.chain(corpus.fixed(), corpus.mutants(1000), corpus.spaces(200)):
            (folder / f"{case.name}.npy").write_bytes(case.data)
            manifest.write(json.dumps({"name": case.name, "verdict": case.verdict, "dtype": case.dtype,
                                       "shape": case.shape, "fortran": case.fortran}) + "\n")


if __name__ == "__main__":
    main()
