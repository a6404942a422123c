"""What must not be in a published tree: machine paths, private hosts and addresses, e-mails, keys.

The allowlist keeps private fields out; this looks at what was built all the same. A finding names file, line and rule,
never the text it found.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO

TEXT_SUFFIXES = (
    ".html",
    ".css",
    ".js",
    ".json",
    ".csv",
    ".txt",
    ".toml",
    ".xml",
    ".svg",
    ".md",
    ".py",
    ".sh",
    ".webmanifest",
)
MEMBER_LIMIT_BYTES = 8 << 20
SHORTEST_STRING = {".mp4": 24, ".webp": 24}  # coded pictures hold short texts by chance; ours carry no tags at all

# rule -> (texts of which one must occur, in lower case; pattern). Precise enough to stay silent on digests and links.
RULES: dict[str, tuple[tuple[bytes, ...], re.Pattern[bytes]]] = {
    "absolute path of a machine": (
        (b"/home/", b"/root/", b"/users/", b"/work/", b"/tmp/", b"/var/", b"/mnt/", b"/workspace/", b"/opt/")
        + (b"/private/", b"/usr/local/", b"/content/"),
        re.compile(
            rb"(?<![\w./:<-])/(?:home|root|Users|work|tmp|var/(?:folders|tmp|lib)|mnt|workspace|opt|private|usr/local"
            rb"|content)/[\w.-]+"
        ),
    ),
    "path of a Windows user": (
        (b":\\users\\", b":\\documents"),
        re.compile(rb"[A-Za-z]:\\(?:Users|Documents and Settings)\\\w+"),
    ),
    "file URL": ((b"file://",), re.compile(rb"\bfile://")),
    "private address": (
        (b"10.", b"192.168.", b"172.", b"169.254."),
        re.compile(
            rb"(?<![\d.])(?:10\.\d{1,3}|192\.168|172\.(?:1[6-9]|2\d|3[01])|169\.254)\.\d{1,3}\.\d{1,3}(?![\d.])"
        ),
    ),
    "private host": (
        (b".internal", b".intranet", b".lan", b".corp", b".localdomain"),
        re.compile(rb"\b[\w-]+\.(?:internal|intranet|lan|corp|localdomain)\b(?!\w)"),
    ),
    "e-mail address": (
        (b"@",),
        re.compile(rb"\b[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b"),
    ),
    "SSH endpoint": ((b"ssh",), re.compile(rb"\bssh\s+(?:-\w+\s+\S+\s+)*[\w.-]+@[\w.-]+")),
    "private key": ((b"private key",), re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")),
    "access token": (
        (b"gh", b"github_pat_", b"akia", b"hf_", b"sk-", b"xox", b"aiza", b"glpat-", b"eyj"),
        re.compile(
            rb"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}|AKIA[A-Z0-9]{16}|hf_[A-Za-z]{30,}|sk-[\w-]{20,}"
            rb"|xox[abpr]-[\w-]{10,}|AIza[\w-]{35}|glpat-[\w-]{20,}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,})"
        ),
    ),
    "secret assignment": (
        (b"secret", b"password", b"passwd", b"apikey", b"api_key", b"access", b"auth"),
        re.compile(
            rb"(?i)\b[\w-]{0,40}(?:secret|password|passwd|api_?key|access_?token|auth_?token)\s{0,4}[=:]\s{0,4}"
            rb"[\"']?[^\s\"'{}<>()]{8,}"
        ),
    ),
    "source map": ((b"sourcemappingurl=",), re.compile(rb"sourceMappingURL=")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One hit: where and which rule, not what."""

    path: str
    line: int
    rule: str


def scan(files: Iterable[tuple[str, bytes]], allowed: Iterable[str] = ()) -> list[Finding]:
    """Every hit in a tree of (path, content).

    Args:
        allowed: exact texts that the author declared public, such as an address of his own.
    """
    spared = [text.encode() for text in allowed if text]
    return [finding for name, content in files for finding in _scan_file(name, content, spared)]


def _scan_file(name: str, content: bytes, spared: list[bytes]) -> Iterator[Finding]:
    for part, text in _texts(name, content):
        for mark in spared:
            text = text.replace(mark, b"")
        lowered = text.lower()
        for rule, (needles, pattern) in RULES.items():
            if not any(needle in lowered for needle in needles):
                continue
            for found in pattern.finditer(text):
                yield Finding(path=part, line=text.count(b"\n", 0, found.start()) + 1, rule=rule)


def _texts(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """The readable texts in a file: itself, the members of a ZIP, or the strings of a binary."""
    if name.endswith(TEXT_SUFFIXES):
        yield name, content
    elif content[:4] == b"PK\x03\x04":
        try:
            with zipfile.ZipFile(BytesIO(content)) as archive:
                yield f"{name}, comment", archive.comment
                for info in archive.infolist():
                    yield f"{name}, member name", info.filename.encode("utf-8", "replace") + b"\n" + info.comment
                    if info.file_size <= MEMBER_LIMIT_BYTES:
                        yield from _texts(f"{name}/{info.filename}", archive.read(info))
        except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError):
            yield name, _strings(content, name)
    else:
        yield name, _strings(content, name)


def _strings(content: bytes, name: str) -> bytes:
    least = SHORTEST_STRING.get(name[name.rfind(".") :], 10)
    return b"\n".join(re.findall(rb"[\x20-\x7e]{%d,}" % least, content))
