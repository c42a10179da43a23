"""Files nobody should open: each a name, its bytes, and the whole refusal."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

GET_AGAIN = "the file is damaged or hostile; get it again from where it was made"
CONVERT = "a pickle that needs more than plain tensors is never loaded; where you trust it, save its tensor again"
RESAVE = "where you trust it, save it anew: torch.save(torch.load(FILE, weights_only=True), FILE)"


def zip_of(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    return out.getvalue()


def pt_of(program: bytes, body: bytes = bytes(24), **more: bytes) -> bytes:
    return zip_of({"x/data.pkl": program, "x/data/0": body, **{f"x/{k}": v for k, v in more.items()}})


def tensor(rows: int, width: int, count: int, strides: tuple[int, int] = (0, 0), kind: bytes = b"Float") -> bytes:
    """A pickle of one tensor, as torch.save writes it."""
    n = [struct.pack("<i", v) for v in (count, rows, width, *(strides if any(strides) else (width, 1)))]
    storage = b"((X\x07\x00\x00\x00storagectorch\n" + kind + b"Storage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu"
    shape = b"K\x00J" + n[1] + b"J" + n[2] + b"\x86J" + n[3] + b"J" + n[4] + b"\x86"
    made = b"ctorch._utils\n_rebuild_tensor_v2\n" + storage + b"J" + n[0] + b"tQ" + shape
    return b"\x80\x02" + made + b"\x89ccollections\nOrderedDict\n)RtR."


class Runs:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        import os

        return os.system, ("touch code-was-run",)


def gguf(tensors: int = 0, pairs: int = 0, rest: bytes = b"", version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, pairs) + rest


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def field(key: str, value: str | int, kind: int = 8) -> bytes:
    body = text(value) if isinstance(value, str) else struct.pack("<i", value)
    return text(key) + struct.pack("<I", kind) + body


ARCH = field("general.architecture", "controlvector")


def direction(name: str, *shape: int, kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def npy_of(header: str, body: bytes = b"", version: int = 1) -> bytes:
    raw = header.encode()
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(raw)) + raw + body


def npy(array: np.ndarray[Any, Any]) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


def npz(**arrays: np.ndarray[Any, Any]) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, allow_pickle=True, **arrays)
    return out.getvalue()


def bomb() -> bytes:
    """320 MiB of zeros in a thousandth of that."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    packed = b"".join(packer.compress(bytes(1 << 24)) for _ in range(20)) + packer.flush()
    size, crc = 20 << 24, 0
    local = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, 0, 8, 0, 33, crc, len(packed), size, 5, 0) + b"a.npy"
    central = struct.pack(
        "<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, 0, 8, 0, 33, crc, len(packed), size, 5, 0, 0, 0, 0, 0, 0
    )
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1, 1, len(central) + 5, len(local) + len(packed), 0)
    return local + packed + central + b"a.npy" + end


def lying_bomb() -> bytes:
    """An entry that unpacks to a thousand times what it claims."""
    made = bytearray(zip_of({"a.npy": bytes(1 << 22)}, zipfile.ZIP_DEFLATED))
    for at in (made.rfind(b"PK\1\2") + 24, 22):
        struct.pack_into("<I", made, at, 4096)
    return bytes(made)


def twice() -> bytes:
    import warnings

    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w") as archive:
        warnings.simplefilter("ignore")
        for _ in range(2):
            archive.writestr("a.npy", npy(np.ones((2, 3), np.float32)))
    return out.getvalue()


def st(header: str, body: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header.encode() + body


DEEP = b"\x80\x02}N" + b"\x85" * 20_000 + b"Ns."  # a key of nested tuples: hashing a deep one overflows the stack
FLAT = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"
NESTED = b"\x80\x02]q\x00" + b"h\x00\x86q\x00" * 400 + b"."  # written out, 2^400 lists
ONES = np.ones((2, 3), np.float32)
INF, NAN, ZERO = ONES * np.inf, ONES * np.nan, ONES * 0
LLAMA = field("general.architecture", "llama")
ARRAYS = text("a") + struct.pack("<IIQ", 9, 9, 1 << 40)
LONG = text("a") + struct.pack("<IIQ", 9, 0, 1 << 62)

CASES: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "empty": (lambda: b"", "the file is empty", GET_AGAIN),
    "text": (lambda: b"not a vector", "it is no vector file of a known kind",
             "vector files are .safetensors, .pt (torch.save), .gguf (control vectors), .npy and .npz"),
    # pickles
    "pt-runs-code": (lambda: pt_of(pickle.dumps(Runs(), 2)),
                     "its pickle asks for 'posix.system', which is not part of a plain tensor", CONVERT),
    "pt-runs-code-later": (lambda: pt_of(tensor(2, 3, 6)[:-1] + b"0cbuiltins\neval\nX\x01\x00\x00\x001\x85R."),
                           "its pickle holds the instruction b'0', which no plain tensor needs", CONVERT),
    "pt-calls-a-string": (lambda: pt_of(b"\x80\x02X\x02\x00\x00\x00os)R."),
                          "its pickle makes a tensor in a way that torch.save does not", CONVERT),
    "pt-protocol-4": (lambda: pt_of(pickle.dumps({"a": 1}, 4)), "its pickle is of protocol 4, not 2", CONVERT),
    "pt-object": (lambda: pt_of(b"\x80\x02X\x02\x00\x00\x00hi."), "it holds a str, not tensors", RESAVE),
    "pt-nested": (lambda: pt_of(NESTED), "it holds a tuple, not tensors", RESAVE),
    "pt-deep-key": (lambda: pt_of(DEEP),
                    "its pickle holds a dict whose keys are neither text nor whole numbers", CONVERT),
    "pt-changed": (lambda: pt_of(tensor(2, 3, 6)).replace(bytes(24), bytes(23) + b"\1"),
                   "'x/data/0' in the zip archive does not match its checksum", GET_AGAIN),
    "pt-cut": (lambda: pt_of(tensor(2, 3, 6)[:-1]), "its pickle is cut off", GET_AGAIN),
    "pt-text": (lambda: pt_of(b"\x80\x02X\xff\xff\xff\x7fa."),
                "its pickle holds a text of 2,147,483,647 bytes; at most 4,096 are read", GET_AGAIN),
    "pt-same-key": (lambda: pt_of(b"\x80\x02}(X\x01\x00\x00\x00aK\x01X\x01\x00\x00\x00aK\x02u."),
                    "its pickle holds the key 'a' twice", GET_AGAIN),
    "pt-beyond": (lambda: pt_of(tensor(3, 3, 6)), "a tensor reaches beyond its own numbers", GET_AGAIN),
    "pt-huge": (lambda: pt_of(tensor(2**31 - 1, 3, 6)),
                "the shape of a tensor is not one of a vector file: [2147483647, 3]", GET_AGAIN),
    "pt-repeats": (lambda: pt_of(tensor(1 << 26, 1 << 26, 6, (0, 1))), "a tensor reaches beyond its own numbers",
                   GET_AGAIN),
    "pt-short": (lambda: pt_of(tensor(2, 3, 7)), "'x/data/0' holds 24 bytes, not 7 numbers of <f4", GET_AGAIN),
    "pt-missing": (lambda: zip_of({"x/data.pkl": tensor(2, 3, 6)}),
                   "the numbers of a tensor ('x/data/0') are missing", GET_AGAIN),
    "pt-big-endian": (lambda: pt_of(tensor(2, 3, 6), byteorder=b"big"), "its numbers are big-endian", RESAVE),
    "pt-big-program": (lambda: pt_of(b"\x80\x02" + b"N" * (1 << 20)),
                       "'x/data.pkl' unpacks to 1,048,578 bytes; at most 1,048,576 are read", GET_AGAIN),
    "pt-bare-pickle": (lambda: pickle.dumps(Runs(), 2), "it is a bare pickle, which is a program and never loaded",
                       RESAVE),
    "pt-integers": (lambda: pt_of(tensor(2, 3, 6, kind=b"Int")), "the directions are int32, not floating-point numbers",
                    "choose another array with --key, or save them as float32"),
    # zips
    "zip-other": (lambda: zip_of({"readme": b"hi"}),
                  "it is a zip archive, but neither a .pt of torch.save nor an .npz",
                  "vector files are .safetensors, .pt (torch.save), .gguf (control vectors), .npy and .npz"),
    "zip-cut": (lambda: npz(a=ONES)[:-30], "the zip archive has no end: the file is cut off or damaged", GET_AGAIN),
    "zip-bomb": (bomb, "'a.npy' unpacks to 335,544,320 bytes; at most 268,435,456 are read", GET_AGAIN),
    "zip-lying-bomb": (lying_bomb, "'a.npy' does not unpack to the 4,096 bytes it claims", GET_AGAIN),
    "zip-same-name": (twice, "the zip archive holds 'a.npy' twice", GET_AGAIN),
    "zip-many": (lambda: zip_of({f"{i}.npy": b"" for i in range(5000)}),
                 "the zip archive lists more files than any vector file", GET_AGAIN),
    "zip-changed": (lambda: zip_of({"a.npy": npy(ONES)}).replace(b"\x80?", b"\x81?"),
                    "'a.npy' in the zip archive does not match its checksum", GET_AGAIN),
    # numpy
    "npy-objects": (lambda: npy(np.array([Runs()], dtype=object)),
                    "the .npy array holds Python objects, which are pickles and never loaded",
                    "save it as floats: numpy.save(FILE, numpy.asarray(directions, dtype=numpy.float32))"),
    "npz-objects": (lambda: npz(a=np.array([Runs()], dtype=object)),
                    "the .npy array holds Python objects, which are pickles and never loaded",
                    "save it as floats: numpy.save(FILE, numpy.asarray(directions, dtype=numpy.float32))"),
    "npy-code": (lambda: npy_of("{'descr': '<f4', 'fortran_order': False, 'shape': (__import__('os'), 3), }"),
                 "the .npy header is not of the form that numpy writes for plain numbers", GET_AGAIN),
    "npy-nested": (lambda: npy_of("(" * 9000), "the .npy header is not of the form that numpy writes for plain numbers",
                   GET_AGAIN),
    "npy-long": (lambda: npy_of(" " * 60000),
                 "the header of the .npy array claims 60,000 bytes; at most 10,000 of the file's are read", GET_AGAIN),
    "npy-same-key": (lambda: npy_of(FLAT.replace("'descr': '<f4'", "'descr': '<f4', 'descr': '<f8'")),
                     "the .npy header holds 'descr' twice", GET_AGAIN),
    "npy-huge": (lambda: npy_of(FLAT.replace("2, 3", "999999999999, 3")),
                 "the shape of the .npy array is not one of a vector file: [999999999999, 3]", GET_AGAIN),
    "npy-cut": (lambda: npy(ONES)[:-1], "the .npy array declares 24 bytes of numbers, but 23 are there", GET_AGAIN),
    "npy-tail": (lambda: npy(ONES) + b"x", "the .npy array declares 24 bytes of numbers, but 25 are there", GET_AGAIN),
    "npy-text": (lambda: npy(np.array(["a"])), "the .npy array is of the type '<U1', which directions never have",
                 "save it as floats: numpy.save(FILE, numpy.asarray(directions, dtype=numpy.float32))"),
    "npy-version": (lambda: npy_of(FLAT, version=9), "the .npy array is of the unknown format version 9", GET_AGAIN),
    # GGUF
    "gguf-49-bytes": (lambda: gguf(1 << 60, 1 << 60, bytes(25)),
                      "the GGUF header declares 1,152,921,504,606,846,976 tensors, more than any vector file",
                      GET_AGAIN),
    "gguf-no-end": (lambda: gguf(1, 4000, text("k" * 100)),
                    "the GGUF header claims more than the file holds", GET_AGAIN),
    "gguf-cut": (lambda: gguf()[:20], "the GGUF header claims more than the file holds", GET_AGAIN),
    "gguf-version": (lambda: gguf(version=9), "the GGUF file is of version 9, not 2 or 3", GET_AGAIN),
    "gguf-big-endian": (lambda: gguf(version=3 << 24), "the GGUF file is big-endian", GET_AGAIN),
    "gguf-text": (lambda: gguf(0, 1, struct.pack("<Q", 1 << 63)),
                  "the GGUF header holds a text of 9,223,372,036,854,775,808 bytes", GET_AGAIN),
    "gguf-arrays": (lambda: gguf(0, 1, ARRAYS), "the GGUF header holds an array of the type 9", GET_AGAIN),
    "gguf-long-array": (lambda: gguf(0, 1, LONG), "the GGUF header claims more than the file holds", GET_AGAIN),
    "gguf-same-key": (lambda: gguf(0, 2, ARCH + ARCH), "the GGUF header holds 'general.architecture' twice", GET_AGAIN),
    "gguf-same-tensor": (lambda: gguf(2, 1, ARCH + direction("direction.1", 3) * 2),
                         "the GGUF header holds the tensor 'direction.1' twice", GET_AGAIN),
    "gguf-dimensions": (lambda: gguf(1, 1, ARCH + text("direction.1") + struct.pack("<I", 1 << 31)),
                        "the GGUF tensor 'direction.1' has 2,147,483,648 dimensions", GET_AGAIN),
    "gguf-huge": (lambda: gguf(1, 1, ARCH + direction("direction.1", 1 << 60)),
                  "the shape of the GGUF tensor 'direction.1' is not one of a vector file: [1152921504606846976]",
                  GET_AGAIN),
    "gguf-beyond": (lambda: gguf(1, 1, ARCH + direction("direction.1", 3, offset=1 << 60)),
                    "the array 'direction.1' ends 1,152,921,504,606,846,996 bytes after its data", GET_AGAIN),
    "gguf-quantised": (lambda: gguf(1, 1, ARCH + direction("direction.1", 32, kind=2)),
                       "the GGUF tensor 'direction.1' is quantised or of a type that directions never have (2)",
                       "this is a model or another file, not a control vector; if it is one, export it as F32"),
    "gguf-model": (lambda: gguf(0, 1, LLAMA), "a GGUF file of the architecture 'llama', not a control vector",
                   "give a file that repeng or llama.cpp's cvector-generator wrote"),
    "gguf-nothing": (lambda: gguf(0, 1, ARCH), "it holds no direction", "check the file"),
    # safetensors
    "st-length": (lambda: struct.pack("<Q", 1 << 60) + b"{}",
                  "its header claims 1,152,921,504,606,846,976 bytes, and the file has 10", GET_AGAIN),
    "st-same-key": (lambda: st('{"a":1,"a":2}'),
                    "its header cannot be read: it holds the key 'a' twice", GET_AGAIN),
    "st-nested": (lambda: st('{"a":' + "[" * 100_000), "its header cannot be read: maximum recursion"
                  " depth exceeded while decoding a JSON array from a unicode string", GET_AGAIN),
    "st-utf-16": (lambda: struct.pack("<Q", 14) + '{"a":1}'.encode("utf-16-le"),
                  "its header cannot be read: Expecting property name enclosed in double quotes: line 1 column 2"
                  " (char 1)", GET_AGAIN),
    "st-sparse": (lambda: st('{"a":{"dtype":"F32","shape":[0,99999999999],"data_offsets":[0,0]}}'),
                  "the shape of the tensor 'a' is not one of a vector file: [0, 99999999999]", GET_AGAIN),
    "st-huge": (lambda: st('{"a":{"dtype":"F32","shape":[1000000000,9],"data_offsets":[0,4]}}', b"1234"),
                "the tensor 'a' has the shape [1000000000, 9] in 4 bytes of F32", GET_AGAIN),
    "st-short": (lambda: st('{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,20]}}', bytes(20)),
                 "the tensor 'a' has the shape [2, 3] in 20 bytes of F32", GET_AGAIN),
    "st-gap": (lambda: st('{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[4,28]}}', bytes(28)),
               "the tensor 'a' leaves a gap before it (data_offsets [4, 28])", GET_AGAIN),
    "st-tail": (lambda: st('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', bytes(28)),
                "its tensors end at byte 4 of 28", GET_AGAIN),
    "st-type": (lambda: st('{"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}', b"1"),
                "the tensor 'a' is of the type 'F8_E4M3', which directions never have", GET_AGAIN),
    "st-same-card": (lambda: st('{"__metadata__":{"card":"1","card":"2"}}'),
                     "its header cannot be read: it holds the key 'card' twice", GET_AGAIN),
    # numbers
    "nan": (lambda: npy(NAN), "`direction` holds NaN or infinity (first at row 0)",
            "the vector cannot be used; rebuild or fetch it again"),
    "infinity": (lambda: npy(INF), "`direction` holds NaN or infinity (first at row 0)",
                 "the vector cannot be used; rebuild or fetch it again"),
    "zero": (lambda: npy(ZERO), "`direction` is zero at every layer",
             "the vector cannot be used; rebuild or fetch it again"),
    "too-wide": (lambda: npy(ONES.astype(np.float64) * 1e300), "some of its float64 numbers do not fit float32",
                 "rescale the vector"),
    "cube": (lambda: npy(np.ones((2, 2, 2), np.float32)), "it is <f4[2, 2, 2], neither [layers, d_model] nor [d_model]",
             "choose another array with --key, or reshape it"),
    "no-rows": (lambda: npy(np.ones((0, 3), np.float32)), "it is <f4[0, 3], neither [layers, d_model] nor [d_model]",
                "choose another array with --key, or reshape it"),
}  # fmt: skip
