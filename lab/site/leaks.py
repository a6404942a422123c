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
_PRINTABLE = re.compile(rb"[\x20-\x7e]{6,}")

# rule -> pattern over bytes; each is precise enough to stay silent on digests and integrity attributes
RULES: dict[str, re.Pattern[bytes]] = {
    "absolute path of a machine": re.compile(
        rb"(?<![\w./:<-])/(?:home|root|Users|work|tmp|var/(?:folders|tmp|lib)|mnt|workspace|opt|private|usr/local|content)/[\w.-]+"
    ),
    "path of a Windows user": re.compile(rb"[A-Za-z]:\\(?:Users|Documents and Settings)\\\w+"),
    "file URL": re.compile(rb"\bfile://"),
    "private address": re.compile(
        rb"(?<![\d.])(?:10\.\d{1,3}|192\.168|172\.(?:1[6-9]|2\d|3[01])|169\.254)\.\d{1,3}\.\d{1,3}(?![\d.])"
    ),
    "private host": re.compile(rb"\b[\w-]+\.(?:internal|intranet|lan|corp|localdomain)\b(?!\w)"),
    "e-mail address": re.compile(rb"\b[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b"),
    "SSH endpoint": re.compile(rb"\bssh\s+(?:-\w+\s+\S+\s+)*[\w.-]+@[\w.-]+"),
    "private key": re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "access token": re.compile(
        rb"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}|AKIA[A-Z0-9]{16}|hf_[A-Za-z]{30,}|sk-[\w-]{20,}|xox[abpr]-[\w-]{10,}"
        rb"|AIza[\w-]{35}|glpat-[\w-]{20,}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,})"
    ),
    "secret assignment": re.compile(
        rb"(?i)\b[\w-]*(?:secret|password|passwd|api_?key|access_?token|auth_?token)\s*[=:]\s*[\"']?[^\s\"'{}<>()]{8,}"
    ),
    "source map": re.compile(rb"sourceMappingURL="),
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
        for rule, pattern in RULES.items():
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
            yield name, _strings(content)
    else:
        yield name, _strings(content)


def _strings(content: bytes) -> bytes:
    return b"\n".join(_PRINTABLE.findall(content))
