# SPDX-License-Identifier: MIT
"""A corpus of safetensors files made by rule: well-formed ones in every variety that the format allows, and
each rule of it broken alone and together with each other. What a good file holds is known here."""

import itertools
import json
import random

# name: ours, bytes of an element
DTYPES = {
    "BOOL": ("bool", 1), "U8": ("uint8", 1), "I8": ("int8", 1), "I16": ("int16", 2), "U16": ("uint16", 2), "F16": ("float16", 2),
    "BF16": ("bfloat16", 2), "I32": ("int32", 4), "U32": ("uint32", 4), "F32": ("float32", 4), "C64": ("complex64", 8),
    "F64": ("float64", 8), "I64": ("int64", 8), "U64": ("uint64", 8),
}


class Case:
    def __init__(self, name, data, verdict, arrays=(), why="", metadata=None):
        self.name, self.data, self.verdict = name, data, verdict
        self.arrays = list(arrays)  # (name, dtype, shape, bytes), in the order of their data
        self.why = why  # a part of the message that refuses it
        self.metadata = metadata or {}


def file_of(text, data=b"", length=None):
    text = text.encode() if isinstance(text, str) else text
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def count(shape):
    n = 1
    for size in shape:
        n *= size
    return n


# A file in parts, each of which may be set to another text: metadata, and two tensors.
PARTS = {
    "length": None, "before": "", "open": "{", "metadata_key": '"__metadata__"', "metadata": '{"k":"v","l":"w"}', "comma": ",",
    "a_key": '"a"', "a_colon": ":", "a_dtype_key": '"dtype"', "a_dtype": '"I16"', "a_shape_key": '"shape"', "a_shape": "[3]",
    "a_offsets_key": '"data_offsets"', "a_offsets": "[0,6]", "a_more": "", "b_key": '"b"', "b_dtype": '"BOOL"', "b_shape": "[1,2]",
    "b_offsets": "[6,8]", "b_more": "", "close": "}", "behind": "", "data": b"\1\0\2\0\3\0\1\0",
}


def build(**changes):
    p = {**PARTS, **changes}
    text = (
        "{before}{open}{metadata_key}:{metadata}{comma}"
        "{a_key}{a_colon}{{{a_dtype_key}:{a_dtype},{a_shape_key}:{a_shape},{a_offsets_key}:{a_offsets}{a_more}}},"
        '{b_key}:{{"dtype":{b_dtype},"shape":{b_shape},"data_offsets":{b_offsets}{b_more}}}{close}{behind}').format(**p)
    text = text.encode("utf-8", "surrogateescape")
    return file_of(text, p["data"], p["length"](len(text)) if p["length"] else None)


TWO = [("a", "int16", [3], b"\1\0\2\0\3\0"), ("b", "bool", [1, 2], b"\1\0")]
METADATA = {"k": "v", "l": "w"}


class Corpus:
    def __init__(self, seed=1):
        self.random = random.Random(seed)

    def elements(self, dtype, shape):
        n = count(shape) * DTYPES[dtype][1]
        return bytes(self.random.randrange(2) for _ in range(n)) if dtype == "BOOL" else self.random.randbytes(n)

    def file(self, name, tensors, pad=0, order=None):
        """Tensors as (name, dtype, shape), in the order of their data; `order` is that of the header."""
        at, data, entries, arrays = 0, b"", [], []
        for key, dtype, shape in tensors:
            content = self.elements(dtype, shape)
            entries.append(f'{json.dumps(key)}:{{"dtype":"{dtype}","shape":{list(shape)},"data_offsets":[{at},{at + len(content)}]}}')
            arrays.append((key, DTYPES[dtype][0], list(shape), content))
            at, data = at + len(content), data + content
        text = "{" + ",".join(entries[i] for i in order or range(len(entries))) + "}" + " " * pad
        return Case(name, file_of(text, data), "accept", arrays)

    # -- well-formed ------------------------------------------------------------------------------

    def well_formed(self):
        for i, text in enumerate(["{}", " {}", "{ }", "{}  ", "\n\t\r{}\n", '{"__metadata__":{}}', '{ "__metadata__" : { } }']):
            yield Case(f"none-{i}", file_of(text), "accept")
        for dtype in DTYPES:
            for shape in ((), (1,), (3,), (2, 3), (0,), (3, 0, 2), (0, 2**40)):
                yield self.file(f"{dtype}-{'x'.join(map(str, shape))}", [("x", dtype, shape)], pad=len(shape))
        for rank in range(65):
            yield self.file(f"rank-{rank}", [("x", "U8", (1,) * rank)])
        for pad in range(17):
            yield self.file(f"pad-{pad}", [("x", "F64", (2,))], pad=pad)
        several = [("u", "F64", (2,)), ("v", "F32", (3,)), ("w", "BOOL", (5,)), ("none", "I8", (0,)), ("x", "U8", ())]
        for i, order in enumerate(itertools.permutations(range(5))):
            if i % 7 == 0:
                yield self.file(f"order-{i}", several, order=order)
        yield self.file("many", [(f"layer.{i}", "I16", (i % 4,)) for i in range(0, 300) if i % 4])
        # Those without bytes that begin where another does come first.
        yield self.file("empty-first", [("z", "F32", (0,)), ("a", "F32", (1,))])
        yield self.file("empty-alone", [("a", "F32", (0,)), ("b", "F32", (0, 7)), ("c", "F32", (3, 0))])
        names = ["", " ", "a.b", "a/b", "../a", "\u00e9", "\u4e2d", "\U0001f600", '"', "\\", "\n\t\r\b\f", "\x01\x1f", "\x7f", "x" * 5000,
                 "__metadata", "metadata__", "dtype", "shape", "%s%n", "'"]
        for i, name in enumerate(names):
            yield self.file(f"name-{i}", [(name, "U8", (1,))])
            text = '{%s:{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}' % json.dumps(name, ensure_ascii=False)
            yield Case(f"plain-name-{i}", file_of(text, b"x"), "accept", [(name, "uint8", [1], b"x")])
        escaped = {'"\\u0061"': "a", '"\\u00E9\\u00e9"': "\u00e9\u00e9", '"\\ud83d\\ude00"': "\U0001f600", '"\\uD83D\\uDE00x"': "\U0001f600x",
                   '"\\/"': "/", '"\\ud7ff\\ue000\\uffff"': "\ud7ff\ue000\uffff", '"\\u0001"': "\1", '"\\u007f\\u0080\\u07ff\\u0800"':
                   "\x7f\x80\u07ff\u0800", '"\\udbff\\udfff"': "\U0010ffff"}
        for i, (key, name) in enumerate(escaped.items()):
            yield Case(f"escape-{i}", build(a_key=key), "accept", [(name, *TWO[0][1:]), TWO[1]], metadata=METADATA)
        fields = ['"dtype":"I16"', '"shape":[3]', '"data_offsets":[0,6]']
        for i, order in enumerate(itertools.permutations(fields)):
            for comma in (",", " ,\n\t"):
                text = '{"a":{%s}}' % comma.join(order)
                yield Case(f"fields-{i}-{len(comma)}", file_of(text, TWO[0][3]), "accept", TWO[:1])
        loose = {key: f" \t{text}\r\n " for key, text in PARTS.items() if isinstance(text, str)}
        yield Case("loose", build(**loose), "accept", TWO, metadata=METADATA)
        yield Case("plain", build(), "accept", TWO, metadata=METADATA)
        yield Case("dtype-escaped", build(a_dtype='"\\u004916"'), "accept", TWO, metadata=METADATA)
        yield Case("shape-spaced", build(a_shape="[ 3 ]", a_offsets="[\n0\t,\r6 ]"), "accept", TWO, metadata=METADATA)
        for text, value in (('{"k":""}', {"k": ""}), ('{"":"x"}', {"": "x"}), ('{"a":"1","b":"2"}', {"a": "1", "b": "2"}), ("{}", {}),
                            ('{"k":"\\"\\u00b5\\n"}', {"k": '"\u00b5\n'})):
            yield Case(f"metadata-{len(text)}", build(metadata=text), "accept", TWO, metadata=value)
        yield Case("metadata-last", file_of('{"b":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"__metadata__":{"k":"v"}}', b"x"), "accept",
                   [("b", "uint8", [], b"x")], metadata={"k": "v"})
        whole = self.file("header-of-a-million", [("x", "U8", (1,))], pad=10**6)
        yield whole

    # -- malformed --------------------------------------------------------------------------------

    def faults(self):
        """(name, parts that are other, why): each is refused for itself."""
        for n in (1, 2, 8, 10**6, 10**8 + 1, 2**31, 2**32, 2**62, 2**63 - 8):
            yield f"length-more-{n}", {"length": lambda size, n=n: size + 8 + n}, ""
        yield "length-huge", {"length": lambda _: 2**64 - 1}, ""
        for n in (1, 2, 50):
            yield f"length-less-{n}", {"length": lambda size, n=n: size - n}, ""
        for n in (0, 1):
            yield f"length-{n}", {"length": lambda _, n=n: n}, ""
        for i, text in enumerate(["", "[", "{{", "(", "x", "\ufeff{", "//\n{", "/**/{", "\0{", "\v{", "\u00a0{"]):
            yield f"open-{i}", {"open": text}, "expected"
        for i, text in enumerate(["", "]", "}}", "},", "}x", "}\0", "},{}", ",}", "}\v", "}//", "}{"]):
            yield f"close-{i}", {"close": text}, "expected"
        for i, text in enumerate(["", ",,", ";", ":", " "]):
            yield f"comma-{i}", {"comma": text}, "expected"
        for i, text in enumerate(["", "::", "=", ",", ";"]):
            yield f"colon-{i}", {"a_colon": text}, "expected"
        keys = ["", "a", "'a'", "1", "null", '"a', 'a"', '"a"b', '"a""b"', '"\\x61"', '"\\u00"', '"\\u00g0"', '"\\ud800"', '"\\udc00"',
                '"\\ud800\\u0061"', '"\\ud800x"', '"\\ud800\\ud800"', '"\\u0000"', '"\\', '"\\"', '"\n"', '"\t"', '"\x01"', '"\x1f"',
                '"\udcff"', '"\udcc3"', '"\udcc0\udcaf"', '"\udced\udca0\udc80"', '"\udcf4\udc90\udc80\udc80"', '"\udce4"', "[]", "{}", '"b"']
        for i, text in enumerate(keys):
            yield f"key-{i}", {"a_key": text}, "twice" if text == '"b"' else "expected"
        for i, text in enumerate(["", "x", "[]", "1", "null", '"text"', '{"k":1}', '{"k":null}', '{"k":{}}', '{"k":["v"]}', '{"k":true}',
                                  '{"k"}', '{"k":}', '{"k":"v",}', '{,}', '{"k":"v" "l":"w"}', '{k:"v"}', '{"k":"v"', '{"k":"v"}}',
                                  '{"k":"\udcff"}', '{"k":"\x01"}', '{"k":"\\u0000"}']):
            yield f"metadata-{i}", {"metadata": text}, "expected"
        yield "metadata-twice", {"metadata": '{"k":"v","k":"w"}'}, "found 'k' twice"
        yield "metadata-key-twice", {"a_key": '"__metadata__"'}, ""
        yield "metadata-elsewhere", {"metadata_key": '"metadata"'}, ""
        dtypes = ["", "null", "1", "[]", "{}", "'I16'", "I16", '"I16', '""', '"i16"', '"int16"', '"I16 "', '" I16"', '"I016"', '"I"', '"I17"',
                  '"I128"', '"F8_E4M3"', '"F8_E5M2"', '"F8_E8M0"', '"F6_E2M3"', '"F6_E3M2"', '"F4"', '"C128"', '"F128"', '"U4"', '"B"',
                  '"BOOL8"', '"STR"', '"<i2"', '"I16\\u0000"', '"object"']
        for i, text in enumerate(dtypes):
            yield f"dtype-{i}", {"a_dtype": text}, "not supported" if text.startswith('"') and text.endswith('"') and "u0000" not in text else ""
        yield "dtype-wider", {"a_dtype": '"I32"'}, "which are not those of shape"
        yield "dtype-narrower", {"a_dtype": '"U8"'}, "which are not those of shape"
        shapes = ["", "3", "null", "(3)", "{}", '"3"', "[", "]", "[3", "3]", "[3,]", "[,3]", "[3,,1]", "[3 1]", "[3;1]", "[-3]", "[+3]", "[3.0]",
                  "[3e0]", "[03]", "[0x3]", "[3L]", '["3"]', "[null]", "[true]", "[[3]]", "[{}]", "[3]]", "[\u0663]", "[3_0]", "[ - 3]", "[3n]",
                  "[" + "1," * 64 + "3]", "[" + "1," * 5000 + "3]", "[" + "9" * 5000 + "]", "[" * 5000, "[9223372036854775808]",
                  "[18446744073709551619]"]
        for i, text in enumerate(shapes):
            yield f"shape-{i}", {"a_shape": text}, "expected"
        for i, shape in enumerate([[], [2], [4], [3, 0], [0], [3, 2], [2**31], [2**32], [2**62], [2**63 - 1], [2**32, 2**32], [0, 2**62, 4],
                                   [2**61 + 3]]):
            yield f"size-{i}", {"a_shape": json.dumps(shape)}, "which are not those of shape"
        offsets = ["", "0", "null", "{}", '"0"', "[", "[]", "[0]", "[6]", "[0,6", "0,6]", "[0,6,]", "[0,,6]", "[0 6]", "[0,6,6]", "[-0,6]", "[0,-6]",
                   "[0.0,6]", "[0,6.0]", "[00,6]", "[0,06]", "[0,6e0]", '["0",6]', "[null,6]", "[[0],6]", "[0,9223372036854775808]"]
        for i, text in enumerate(offsets):
            yield f"offsets-{i}", {"a_offsets": text}, "expected"
        for i, (begin, end) in enumerate([(0, 5), (0, 7), (6, 0), (6, 6), (2**63 - 6, 2**63 - 1), (0, 2**63 - 1)]):
            yield f"span-{i}", {"a_offsets": f"[{begin},{end}]"}, "which are not those of shape"
        for begin in (1, 2, 6, 8, 1000, 2**62, 2**63 - 7):
            yield f"hole-{begin}", {"a_offsets": f"[{begin},{begin + 6}]"}, "without hole or overlap"
        for begin in (0, 5, 7, 9, 2**62):
            yield f"b-hole-{begin}", {"b_offsets": f"[{begin},{begin + 2}]"}, "without hole or overlap"
        for key in ("a_dtype_key", "a_shape_key", "a_offsets_key"):
            for i, text in enumerate(['""', '"Dtype"', '"shape "', '"offsets"', "dtype", "", "'shape'"]):
                yield f"{key}-{i}", {key: text}, ""
        yield "field-twice-dtype", {"a_shape_key": '"dtype"', "a_shape": '"I16"'}, "each field once"
        yield "field-twice-shape", {"a_offsets_key": '"shape"', "a_offsets": "[3]"}, "each field once"
        for i, text in enumerate([",", ',"x":1', ',"dtype":"I16"', ',"shape":[3]', ',"data_offsets":[0,6]', ',"dtype"', ' "x":1', ",{}", ',"x":{}',
                                  "}", "]"]):
            yield f"more-{i}", {"a_more": text}, ""
            yield f"b-more-{i}", {"b_more": text}, ""
        for n in (0, 1, 5, 7):
            yield f"data-{n}", {"data": bytes(n)}, "bytes of data, expected 8"
        for n in (9, 10, 1000):
            yield f"data-{n}", {"data": bytes(n)}, "bytes of data, expected 8"
        for i, text in enumerate(["x", "\0", ",", "{}", "\x1a"]):
            yield f"behind-{i}", {"behind": text}, "nothing but blanks"

    def singles(self):
        for name, changes, why in self.faults():
            yield Case(name, build(**changes), "refuse", why=why)
        whole = build()
        for n in range(len(whole)):
            yield Case(f"cut-{n}", whole[:n], "refuse")
        for key in ('"dtype":"I16"', '"shape":[3]', '"data_offsets":[0,6]'):
            text = build().replace(key.encode() + b",", b"").replace(b"," + key.encode(), b"")[8:]
            yield Case(f"without-{key[1:6]}", file_of(text[:-8], text[-8:]), "refuse", why="expected the field")
        bombs = {"brackets": "[" * 10**6, "braces": '{"a":' * 200000, "quotes": '{"' + "a" * 10**6, "commas": "{" + "," * 10**6,
                 "escapes": '{"' + "\\u0061" * 100000, "shape": '{"a":{"shape":[' + "1," * 500000, "blanks": " " * 10**6,
                 "metadata": '{"__metadata__":{' + '"k":"v",' * 100000, "backslashes": '{"' + "\\" * 10**6}
        for name, text in bombs.items():
            yield Case(f"bomb-{name}", file_of(text, bytes(10)), "refuse")
        n = 4000  # sorting and looking for twins is not quadratic
        text = "{" + ",".join('"a%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}' % (i % (n - 1)) for i in range(n)) + "}"
        yield Case("bomb-names", file_of(text), "refuse", why="twice")
        others = {"npy": b"\x93NUMPY" + bytes(122), "zip": b"PK\3\4" + bytes(40), "pickle": b"\x80\4\x95" + bytes(40), "text": b"hello, world\n",
                  "zeros": bytes(100), "ones": b"\xff" * 100, "gguf": b"GGUF\3" + bytes(40)}
        for name, data in others.items():
            yield Case(f"other-{name}", data, "refuse")

    def pairs(self):
        """Two faults of different parts at once."""
        faults = [fault for fault in self.faults() if sum(len(str(text)) for text in fault[1].values()) < 1000]
        for (i, a), (j, b) in itertools.combinations(enumerate(faults), 2):
            if (i * 31 + j) % 6 or set(a[1]) & set(b[1]) or undone(a[0], b[0]):
                continue
            yield Case(f"pair-{a[0]}-{b[0]}", build(**a[1], **b[1]), "refuse")

    def fixed(self):
        return itertools.chain(self.well_formed(), self.singles(), self.pairs())


def undone(a, b):
    """Whether one of two faults may make the other none."""
    kinds = {name.rsplit("-", 1)[0] for name in (a, b)}
    sizes = {"dtype", "dtype-wider", "dtype-narrower", "size", "span", "hole", "b-hole", "data", "field-twice"}
    return len(kinds & sizes) > 1 or {"dtype-wider", "dtype-narrower"} & {a, b} and kinds & sizes or \
        kinds & {"length-less", "length-more", "length"} and kinds & {"close", "behind", "more", "b-more", "data", "open", "b-hole"}
