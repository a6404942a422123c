"""Nothing private passes the gate: a corpus planted by the test itself, in every kind of file that a site holds."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import pickle
import random
import string
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from lab.errors import LeakFound
from lab.site import check, leaks, publish, rules, sieve
from lab.site.leaks import Finding, Gate

LETTERS, DIGITS, HEX = string.ascii_letters, string.digits, "0123456789abcdef"
CAPITALS, WORDS = string.ascii_uppercase, string.ascii_letters + string.digits
CHANCE = random.Random(20)


def some(alphabet: str, count: int) -> str:
    """Characters by chance, with a digit and a letter of each case where the alphabet has them."""
    fixed = [next(c for c in kind if c in alphabet) for kind in (DIGITS, "xa", "ZK") if set(kind) & set(alphabet)]
    drawn = fixed[:count] + [CHANCE.choice(alphabet) for _ in range(count - len(fixed))]
    CHANCE.shuffle(drawn)
    return "".join(drawn[:count])


def jwt() -> str:
    parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": "1", "iat": 1})
    return ".".join([base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]) + (
        "." + some(WORDS, 43)
    )


# format-valid tokens of providers, made when the test runs; no scanner of a host meets one in this file
TOKENS: dict[str, Callable[[], str]] = {
    "cloud key id": lambda: "AK" + "IA" + some(CAPITALS + "234567", 16),
    "cloud secret key": lambda: "aws_secret_" + 'access_key = "' + some(WORDS + "/+", 40) + '"',
    "code host, classic": lambda: "gh" + "p_" + some(WORDS, 36),
    "code host, fine-grained": lambda: "github_" + "pat_" + some(WORDS, 22) + "_" + some(WORDS, 59),
    "second code host": lambda: "gl" + "pat-" + some(WORDS, 20),
    "chat bot": lambda: "xo" + "xb-" + some(DIGITS, 12) + "-" + some(DIGITS, 12) + "-" + some(WORDS, 24),
    "chat hook": lambda: "https://hooks." + "slack.com/services/T0A1B2C3D/B9Z8Y7X/" + some(WORDS, 24),
    "payments": lambda: "sk_" + "live_" + some(WORDS, 24),
    "telephony": lambda: "S" + "K" + some(HEX, 32),
    "mail": lambda: "S" + "G." + some(WORDS, 22) + "." + some(WORDS, 43),
    "mailing list": lambda: some(HEX, 32) + "-u" + "s14",
    "package registry": lambda: "np" + "m_" + some(WORDS, 36),
    "second package registry": lambda: "pypi-" + "AgEIcHlwaS5vcmc" + some(WORDS, 80),
    "model host": lambda: "h" + "f_" + some(LETTERS, 34),
    "language model": lambda: "sk-" + "proj-" + some(WORDS, 48),
    "second language model": lambda: "sk-" + "ant-api03-" + some(WORDS, 90),
    "maps": lambda: "AI" + "za" + some(WORDS, 35),
    "web token": jwt,
    "private key": lambda: "-----BEGIN OPENSSH " + "PRIVATE KEY-----",
    "address with password": lambda: "postgres://reader:" + some(WORDS, 16) + "@db.example.org/runs",
    "bare key of a run store": lambda: some(HEX, 40),  # a digest to every precise rule: only the allowlist keeps it out
}


def picture(kind: str, **options: object) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (16, 16), (90, 120, 150)).save(out, kind, **options)
    return out.getvalue()


def exif() -> bytes:
    from PIL import Image

    tags = Image.Exif()
    tags[0x013B] = "someone"
    return picture("JPEG", exif=tags)


def png_text() -> bytes:
    from PIL.PngImagePlugin import PngInfo

    words = PngInfo()
    words.add_text("Software", "a tool")
    return picture("PNG", pnginfo=words)


def video(*, tagged: bool, exact: bool = True) -> bytes:
    import av
    import numpy as np

    out = io.BytesIO()
    options = {"fflags": "+bitexact"} if exact else {}
    with av.open(out, "w", format="mp4", options=options) as container:
        if tagged:
            container.metadata["comment"] = "made by someone"
        stream = container.add_stream("mpeg4" if exact else "libx264", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for _ in range(2):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    return out.getvalue()


def zipped(text: str, comment: bytes = b"") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", text)
        archive.comment = comment
    return out.getvalue()


PATH = "/".join(["", "home", "someone", "runs"])
# name -> (file, content)
OTHERS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "path of a Linux user": ("report.txt", lambda: f"log in {PATH}/x".encode()),
    "path of a Mac user in escaped JSON": ("run.json", lambda: b'{"clip": "\\/Users\\/someone\\/clip.mp4"}'),
    "path of a Windows user": ("run.json", lambda: rb'{"clip": "C:\\Users\\someone\\clip.mp4"}'),
    "file URL": ("index.html", lambda: b'<a href="file:///etc/hosts">x</a>'),
    "private host": ("report.txt", lambda: b"on build7.internal"),
    "host of a cloud": ("report.txt", lambda: b"on ip-10-0-3-17"),
    "user and host of a prompt": ("report.txt", lambda: b"someone@forge:~$ make"),
    "private address": ("report.txt", lambda: b"at 10.2.3.4 port 22"),
    "private IPv6 address": ("report.txt", lambda: b"at fd12:3456:789a::1 now"),
    "e-mail behind entities": ("index.html", lambda: b"write to someone&#64;example.org"),
    "telephone number": ("index.html", lambda: b"call +49 (30) 1234 5678"),
    "remark in a page": ("index.html", lambda: b"<p>x</p><!-- ask first -->"),
    "author of a commit": ("report.txt", lambda: b"Author: Some One <x>"),
    "source map": ("site.js", lambda: b"//# source" + b"MappingURL=site.js.map"),
    "attributes of an SVG editor": ("a.svg", lambda: b'<svg sodipodi:docname="x.svg"></svg>'),
    "traceback of a notebook": ("a.json", lambda: b'{"output_type": "error", "traceback": ["x"]}'),
    "EXIF": ("a.jpg", exif),
    "PNG text": ("a.png", png_text),
    "MP4 tags": ("a.mp4", lambda: video(tagged=True)),
    "encoder's remarks": ("b.mp4", lambda: video(tagged=False, exact=False)),
    "member of a ZIP in a ZIP": ("a.zip", lambda: nested()),
    "comment of a ZIP": ("b.zip", lambda: zipped("x", f"from {PATH}".encode())),
    "gzip": ("a.bin", lambda: gzip.compress(f"x\n{PATH}/y\n".encode())),
    "pickle": ("a.dat", lambda: pickle.dumps({"a": 1})),
}
MORE = {
    "root": '{"out": "/root/tac/x.zip"}',
    "home folder": "in ~/runs/x",
    "ssh": "ssh -p 22 someone@203.0.113.9",
    "endpoint": "listens on 203.0.113.9:40022",
    "assignment": "API_KEY=0123456789abcdef",
    "environment": "SLURM_NODELIST=gpu-3",
    "job": "Submitted batch job 123456",
    "instance": "i-0123456789abcdef0",
    "bucket": "s3://my-bucket/x",
    "user": '{"user": "someone"}',
}


def nested() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("b.zip", zipped(f"x\n{PATH}/y\n"))
    return out.getvalue()


def scan(name: str, content: bytes, **how: object) -> list[Finding]:
    return Gate(**how).scan({name: content})  # type: ignore[arg-type]


def test_tokens_of_twenty_one_providers_are_found_but_for_one_that_is_a_digest_to_every_rule() -> None:
    missed = [name for name, made in TOKENS.items() if not scan("data/report.txt", f"fine\nkept {made()}\n".encode())]
    assert len(TOKENS) == 21
    assert missed in ([], ["bare key of a run store"])


@pytest.mark.parametrize("name", OTHERS)
def test_every_other_plant_is_found(name: str) -> None:
    assert len(OTHERS) == 24
    path, made = OTHERS[name]
    assert scan(f"data/{path}", made())


@pytest.mark.parametrize("name", MORE)
def test_a_leak_is_told_by_file_and_line_and_stops_the_build(name: str) -> None:
    with pytest.raises(LeakFound) as caught:
        check.check({"data/x/report.txt": f"fine\n{MORE[name]}\n".encode()})
    assert "data/x/report.txt:2" in str(caught.value)
    assert "someone" not in str(caught.value)


def test_four_hundred_digests_and_integrity_attributes_are_no_leaks() -> None:
    rows = [f"{hashlib.sha256(b'%d' % i).hexdigest()}  data/{i}.json" for i in range(300)]
    digests = [base64.b64encode(hashlib.sha384(b"%d" % i).digest()).decode() for i in range(100)]
    page = [f'<script src="/assets/{i}.js" integrity="sha384-{text}"></script>' for i, text in enumerate(digests)]
    data = base64.b64encode(bytes(range(256))).decode()
    noise = "\n".join([*rows, *page, f'<img src="data:image/png;base64,{data}">', "https://example.org/home/x"])
    assert scan("data/manifest.txt", noise.encode()) == []
    assert scan("index.html", noise.encode()) == []
    assert scan("data/a.json", json.dumps({"all": noise.split("\n")}, indent=1).encode()) == []


def test_media_of_our_own_writers_carry_nothing(built: SimpleNamespace) -> None:
    media = [(name, publish.read(content)) for name, content in built.tree.items() if name.startswith("media/")]
    assert {name.rpartition(".")[2] for name, _ in media} == {"json", "mp4", "webp"}
    assert Gate().scan(dict(media)) == []
    for kind in ("PNG", "WEBP"):
        assert scan(f"a.{kind.lower()}", picture(kind)) == []


def test_a_canary_stops_a_whole_built_site_and_nothing_else_does(built: SimpleNamespace) -> None:
    """The same tree passes without the plant, so the gate fails for the plant alone."""
    name = next(name for name in built.tree if name.endswith("report.txt"))
    check.check(built.tree, built.gate)
    with pytest.raises(LeakFound, match=r"report\.txt:2 absolute path"):
        check.check({**built.tree, name: f"fine\n{PATH}\n".encode()}, built.gate)


def test_a_remark_in_a_text_cannot_switch_a_detector_off() -> None:
    token = TOKENS["payments"]()
    assert scan("a.txt", f'key = "{token}"  # pragma: allowlist secret'.encode())


def test_one_pass_over_all_rules_finds_what_asking_each_of_them_on_each_line_does() -> None:
    """Every plant, within other text, in capitals and small letters, with signs that become letters, and cut short."""
    plants = [made() for made in TOKENS.values()] + list(MORE.values())
    plants += [data.decode() for _, made in OTHERS.values() if (data := made()).isascii() and data.isascii()]
    plants += [*(rule.needles[0] * 3 for rule in rules.RULES.values()), "é.internal", "o\u212a-host.lan", "at 10.٣.2.1"]
    lines = [line for plant in plants for line in plant.split("\n")]
    lines += [text for line in lines for text in (f"é {line} ü", line.upper(), line.lower(), line[: len(line) // 2])]
    for kind in ("html", "svg", "text"):
        asked = {(at, rule) for at, line in enumerate(lines, 1) for rule in each_rule(line, kind)}
        found = set(sieve.Sieve(()).hits("\n\n".join(lines).encode(), kind))
        assert asked <= {(1 + number // 2, rule) for number, rule in found}
        assert len(asked) > 100


def each_rule(line: str, kind: str) -> list[str]:
    """What every rule and every detector says of a line, none passed over."""
    said = [
        name
        for name, rule in rules.RULES.items()
        if (not rule.kinds or kind in rule.kinds)
        and any(needle in line.lower() for needle in rule.needles)
        and rule.pattern.search(line)
    ]
    for name, detector in rules.detectors().items():
        exactly = rules.EXACTLY.get(name)
        if (exactly is None or exactly.search(line)) and detector.analyze_line(filename="", line=line):
            said.append(f"token: {detector.secret_type}")
    return said


def test_every_detector_of_the_engine_is_asked_or_named_as_left_out() -> None:
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    known = {found.__name__ for found in get_mapping_from_secret_type_to_class().values()}
    assert known == set(rules.DETECTORS) | set(rules.LEFT_OUT)


@pytest.mark.parametrize("name", ["a.tar.xz", "a.ipynb", "site.js.map", ".env", "model.pt", "notes.txt~"])
def test_types_that_cannot_be_looked_into_or_are_never_published_are_refused(name: str) -> None:
    assert scan(f"data/{name}", b"abc")


def test_a_container_beyond_its_limits_is_refused_not_skipped() -> None:
    assert scan("a.gz", gzip.compress(bytes(40 << 20)))
    assert scan("a.zip", zipped("\0" * (40 << 20)))
    assert scan("a.zip", zipped("x" * 100)[:-30])


def test_what_the_author_declared_passes_and_names_of_the_machine_do_not() -> None:
    page = b"write to me@example.org"
    assert scan("index.html", page)
    assert scan("index.html", page, declared=("me@example.org",)) == []
    assert scan("index.html", b"at the forge-7", names=("Forge-7",))
    assert scan("index.html", b"the root of it", names=("root",)) == []


def test_clean_files_are_remembered_under_the_rules_and_hits_never(tmp_path: Path) -> None:
    lines = [f'{{"sha256": "{hashlib.sha256(b"%d" % i).hexdigest()}", "n": {i}}}' for i in range(110_000)]
    files = [("data/a.json", "\n".join(lines).encode()), ("data/b.json", f"x {PATH}".encode())]
    assert len(files[0][1]) > 10_000_000
    first = Gate(memory=tmp_path).scan(dict(files))
    started = time.process_time()
    assert Gate(memory=tmp_path).scan(dict(files)) == first
    assert time.process_time() - started < 5
    assert [hit.path for hit in first] == ["data/b.json"]
    assert Gate(memory=tmp_path).scan(dict(files[1:])) == first
    assert len(Gate(memory=tmp_path, names=("home",)).scan(dict(files[1:]))) == len(first)  # common names are no names
    assert len(Gate(memory=tmp_path, names=("someone",)).scan(dict(files[1:]))) > len(first)  # other rules ask again


def test_of_a_text_that_grew_all_that_is_new_is_looked_at() -> None:
    """Wherever a leak is put into lines that were clean, it is found on its line; what did not change is not read."""
    lines = [f'{{"run": {i}, "sha256": "{hashlib.sha256(b"%d" % i).hexdigest()}"}}' for i in range(4_000)]
    before = "\n".join(lines).encode()
    assert scan("data/a.json", before) == []
    for at in (0, 1, 1_999, 3_999, 4_000):
        for planted in (f'{{"x": "{PATH}"}}', '{"x": "a"}\n"API_KEY":\n"0123456789abcdef0123"', "", "PK\x03\x04"):
            after = "\n".join([*lines[:at], planted, *lines[at:]]).encode()
            whole = Gate().watch().look("data/a.json", after, "0" * 64)
            assert Gate().watch().look("data/a.json", after, "0" * 64, before) == whole
            assert len(leaks._between(before, after)[1]) < 5 * leaks._STEP < len(after) / 3
    for start in (0, 10, 2_000):  # lines that went away bring others together
        after = "\n".join([*lines[:start], *lines[start + 7 :]]).encode()
        assert Gate().watch().look("data/a.json", after, "0" * 64, before) == []
    assert Gate().watch().look("data/a.json", before, "0" * 64, before) == []
    assert Gate().watch().look("data/a.json", PATH.encode(), "0" * 64, b"x") != []
