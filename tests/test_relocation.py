"""The charge rule: score-bearing information travels in the archive; what hides in code is found and named."""

from __future__ import annotations

import base64
import json
import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paper import a_runtime, findings

from lab import codecs, relocation, runtime

NOISE = random.Random(9).randbytes(3000)
HONEST = {**a_runtime().files, "inflate.sh": runtime.INFLATE_SH.encode()}


def code(text: str | bytes) -> dict[str, bytes]:
    """A tree with one more module."""
    return {**HONEST, "more.py": text.encode() if isinstance(text, str) else text}


def test_an_honest_decoder_needs_the_strictest_mode_only() -> None:
    reading = relocation.read(HONEST)
    assert (reading.mode, reading.findings) == ("archive_seeded", ())


@pytest.mark.parametrize("family", sorted(set(codecs.FAMILIES) - codecs.REFUSED))
def test_the_decoder_of_every_family_keeps_the_rule(family: str) -> None:
    tree = runtime.of_family(family)
    reading = relocation.read({**tree.files, runtime.ENTRY: tree.entry})
    assert not reading.findings, "\n".join(map(str, reading.findings))


@pytest.mark.parametrize("family", sorted(codecs.REFUSED))
def test_a_family_that_breaks_the_rule_is_found_out(family: str) -> None:
    tree = runtime.of_family(family)
    assert "charge.networks-used" in relocation.read({**tree.files, runtime.ENTRY: tree.entry}).broken_rules


@pytest.mark.parametrize("family", sorted(set(codecs.FAMILIES) - codecs.REFUSED))
def test_the_requirements_of_a_family_are_what_its_decoder_imports(family: str) -> None:
    assert set(runtime.of_family(family).requirements) == set(codecs.get(family).spec.requirements)
    assert runtime.of_family(family).sha256 == runtime.of_closure(family, codecs.get(family).runtime_files()).sha256


# Families that need more than Python, numpy, numba and torch, and what for.
BEYOND = {
    "conventional": {"av"},  # its payload is an AV1, H.265 or H.264 stream
    "filtered": {"av"},  # it may wrap such a payload
}


@pytest.mark.parametrize("family", sorted(set(codecs.FAMILIES) - codecs.REFUSED))
def test_a_decoder_needs_what_a_judge_has_or_is_named_here(family: str) -> None:
    assert set(runtime.of_family(family).requirements) - set(runtime.USUAL) <= BEYOND.get(family, set())


HIDING: dict[str, tuple[str, dict[str, bytes]]] = {
    "bytes": ("charge.literal", code(f"DATA = {NOISE!r}\n")),
    "base64": ("charge.blob", code(f"DATA = {base64.b64encode(NOISE[:300])!r}\n")),
    "base85": ("charge.blob", code(f'DATA = """{base64.b85encode(NOISE[:300]).decode()}"""\n')),
    "hexadecimal": ("charge.blob", code(f'DATA = "{NOISE[:200].hex()}"\n')),
    "pieces of base64": (
        "charge.budget",
        code("DATA = [" + ",\n".join(repr(base64.b64encode(NOISE[i : i + 90])) for i in range(0, 3000, 90)) + "]\n" * 1)
        | {f"part{n}.py": b"D = " + repr(random.Random(n).randbytes(150)).encode() for n in range(30)},
    ),
    "an implicit concatenation": (
        "charge.literal",
        code("DATA = (\n" + "\n".join(repr(NOISE[i : i + 60]) for i in range(0, 3000, 60)) + "\n)\n"),
    ),
    "a tuple of numbers": ("charge.numbers", code(f"DATA = {tuple(NOISE[:400])}\n")),
    "tuples in a dictionary": (
        "charge.numbers",
        code("DATA = {" + ",\n".join(f"{n}: {tuple(NOISE[n * 9 : n * 9 + 9])}" for n in range(60)) + "}\n"),
    ),
    "negative numbers": ("charge.numbers", code(f"DATA = {[-n for n in NOISE[:400]]}\n")),
    "arguments of a call": ("charge.numbers", code(f"DATA = bytes(({', '.join(map(str, NOISE[:400]))}))\n")),
    "one long integer": ("charge.literal", code(f"DATA = 0x{NOISE.hex()}\n")),
    "many integers": (
        "charge.budget",
        code("\n".join(f"D{n} = 0x{NOISE[n * 30 : n * 30 + 30].hex()}" for n in range(100)) + "\n")
        | {"again.py": "\n".join(f"D{n} = 0x{NOISE[n * 29 : n * 29 + 29].hex()}" for n in range(100)).encode()},
    ),
    "hexadecimal words in pieces": (
        "charge.budget",
        code("".join(f"D{n} = '{NOISE[n * 50 : n * 50 + 50].hex(' ')}'\n" for n in range(60))),
    ),
    "hexadecimal words in documents": (
        "charge.budget",
        code("".join(f"def f{n}():\n    '{NOISE[n * 50 : n * 50 + 50].hex(' ')}'\n" for n in range(60))),
    ),
    "a docstring": ("charge.blob", code(f'"""{base64.b64encode(NOISE).decode()}"""\n')),
    "a comment": ("charge.blob", code(f"# {base64.b85encode(NOISE[:300]).decode()}\n")),
    "a name": ("charge.blob", code(f"x{NOISE[:60].hex()} = 1\n")),
    "a file beside": ("charge.not-code", {**HONEST, "weights.bin": NOISE}),
    "a README": ("charge.not-code", {**HONEST, "README.md": b"word " * 2000}),
    "a compiled file": ("charge.not-code", {**HONEST, "lab/x.pyc": NOISE}),
    "another encoding": ("charge.unreadable", code(b"# coding: latin-1\nx = '\xe9'\n")),
    "no Python": ("charge.unreadable", code(NOISE)),
    "brackets without end": ("charge.unreadable", code("(" * 5000)),
    "a shell script": ("charge.blob", {**HONEST, "inflate.sh": b"X=" + base64.b64encode(NOISE) + b"\n"}),
    "a here document": ("charge.dynamic-code", {**HONEST, "inflate.sh": b"python3 - <<'E'\nprint(1)\nE\n"}),
    "code of one line": ("charge.dynamic-code", {**HONEST, "inflate.sh": b"python3 -c 'print(1)'\n"}),
    "code from text": ("charge.dynamic-code", code("exec('x = 1')\n")),
    "code from a module": ("charge.dynamic-code", code("import marshal\n")),
    "a decoder that reads itself": ("charge.reads-itself", code("data = open(__file__).read()\n")),
    "a decoder that reads its folder": ("charge.reads-itself", code("import sys\ndata = open(sys.path[0] + '/x')\n")),
    "a decoder that reads its documents": ("charge.reads-itself", code("def f():\n    'x'\n\n\ndata = f.__doc__\n")),
    "the source": ("charge.source-read", code("data = open('videos/0.mkv', 'rb').read()\n")),
    "the source by shell": ("charge.source-read", {**HONEST, "inflate.sh": b'cat ../videos/0.mkv > "$2/0.raw"\n'}),
    "networks by file": ("charge.networks-used", code("path = 'models/posenet.safetensors'\n")),
    "networks by module": ("charge.networks-used", code("from lab.evaluator import networks\n")),
    "networks by library": ("charge.networks-used", code("import segmentation_models_pytorch as smp\n")),
    "the internet": ("charge.network-access", code("import urllib.request\n")),
    "a hub": ("charge.network-access", code("import torch\nnet = torch.hub.load('a', 'b')\n")),
    "the internet by shell": ("charge.network-access", {**HONEST, "inflate.sh": b"curl -O https://x/y\n"}),
    "an absolute path": ("charge.outside-path", code("data = open('/tmp/cache/x').read()\n")),
    "a path upwards": ("charge.outside-path", code("data = open('../x').read()\n")),
}


@pytest.mark.parametrize("what", sorted(HIDING))
def test_what_hides_beside_the_archive_is_found(what: str) -> None:
    rule, files = HIDING[what]
    assert rule in findings(files)


def test_a_decoder_may_say_what_it_means() -> None:
    """Words of ordinary code: error texts, documentation, small tables, section names."""
    assert not findings(
        code(
            '"""What SegNet and PoseNet read of a video; see videos of the contest. ' + "Plain words. " * 60 + '"""\n'
            "ORDER = (1, 2, 4, 8, 16, 32, 64, 128)\nSECTIONS = ('video', 'pose', 'mask')\n"
            "def fail(n):\n    raise ValueError(f'expected {n} bytes of the section video, found none')\n"
        )
    )


def test_a_file_that_repeats_a_member_brings_no_new_bytes() -> None:
    files = {**HONEST, "weights.bin": NOISE}
    assert findings(files) == {"charge.not-code"}
    reading = relocation.read(files, {"0.bin": NOISE})
    assert (reading.mode, reading.findings) == ("weight_derived", ())
    assert relocation.read(files, {"0.bin": NOISE + b"x"}).broken_rules == ("charge.not-code",)


def test_the_stricter_of_two_readings_wins() -> None:
    tables = code("".join(f"T{n} = {NOISE[n * 90 : n * 90 + 90]!r}\n" for n in range(20)))
    read = relocation.read(tables)
    assert (read.mode, read.findings) == ("runtime_constant", ())
    assert relocation.read(tables, declared="runtime_constant").findings == ()
    assert relocation.read(tables, declared="archive_seeded").broken_rules == ("charge.mode",)
    assert relocation.read(HONEST, declared="anything").broken_rules == ("charge.mode",)
    assert relocation.read(HONEST, declared="runtime_constant").mode == "archive_seeded"


@pytest.mark.parametrize("size", [1 << 12, 1 << 16])
def test_a_payload_in_code_is_found_however_it_is_spelled(size: int) -> None:
    """The published cheats pasted whole archives into inflate.py; every spelling of Python and of codecs of text."""
    payload = random.Random(size).randbytes(size)
    spellings = {
        "repr": repr(payload),
        "tuple": repr(tuple(payload)),
        "list": json.dumps(list(payload)),
        "hex": f"bytes.fromhex('{payload.hex()}')",
        "b64": repr(base64.b64encode(payload)),
        "b85": repr(base64.b85encode(payload)),
        "a85": repr(base64.a85encode(payload)),
        "b32": repr(base64.b32encode(payload).decode()),
        "latin": repr(payload.decode("latin-1")),
        "utf": repr("".join(chr(0x4E00 + byte) for byte in payload)),
        "zlib": repr(zlib.compress(payload)),
        "lines": "'''" + "\n".join(payload[i : i + 20].hex() for i in range(0, size, 20)) + "'''",
        "words": "'''" + " ".join(f"{byte:02x}" for byte in payload) + "'''",
        "join": "''.join((" + ",\n".join(repr(payload[i : i + 40].hex()) for i in range(0, size, 40)) + "))",
        "sum": " + ".join(repr(payload[i : i + 50]) for i in range(0, size, 50)),
    }
    for name, text in spellings.items():
        assert findings(code(f"DATA = {text}\n")), name


@settings(max_examples=150)
@given(st.text(max_size=200) | st.binary(max_size=200))
def test_any_file_is_read_or_refused_by_name(content: str | bytes) -> None:
    data = content.encode("utf-8", errors="surrogatepass") if isinstance(content, str) else content
    for name in ("x.py", "inflate.sh", "x.bin"):
        reading = relocation.read({name: data})
        assert all(finding.rule.startswith("charge.") for finding in reading.findings)
