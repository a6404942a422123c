"""The charge rule, read from a runtime tree: score-bearing information travels in the archive, not in the code.

A decoder may be clever; what it knows about this clip must be charged. The gate reads every file that inflating may
run, without running it, and gives one of three modes, the most permissive that the tree needs:

    archive_seeded     the code holds next to no constants: everything else comes out of the archive
    weight_derived     files beside the code repeat members of the archive, digest for digest: no new bytes
    runtime_constant   tables of decoder logic within a small budget

Where a packet declares a mode, the stricter of the two readings wins. What cannot be read is refused.

References: the contest's rule on large artefacts; its precedents are payloads pasted into inflate.py, the source video
read at inflate, and the evaluator's networks used at inflate.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lab import custody

MODES = ("archive_seeded", "weight_derived", "runtime_constant")
LITERAL_LIMIT_BYTES = 2048
BLOB_LIMIT_CHARACTERS = 200
NUMBERS_LIMIT = 256
# Dense constants are bytes, numbers of tables and texts without words; the first budget is that of archive_seeded.
SEEDED_LIMIT_BYTES = 1024
DENSE_LIMIT_BYTES = 4096
TEXT_LIMIT_BYTES = 64 << 10
NAME_LIMIT_CHARACTERS = 80

_PLAIN_FILES = {"README.md", "LICENSE", "requirements.txt"}
_PLAIN_LIMIT_BYTES = 4096
_NETWORK_MODULES = {"socket", "ssl", "urllib", "http", "ftplib", "smtplib", "requests", "aiohttp", "httpx", "paramiko"}
_NETWORK_MODULES |= {"huggingface_hub", "boto3", "gdown", "wget", "asyncio", "xmlrpc", "telnetlib"}
_SCORER_MODULES = {"timm", "segmentation_models_pytorch", "transformers", "torchvision", "onnxruntime", "modules"}
_SCORER_MODULES |= {"evaluate", "evaluator", "frame_utils", "lab.evaluator", "upstream"}
_DYNAMIC = {"eval", "exec", "compile", "__import__"}
_SELF_READING = {"__file__", "__loader__", "__spec__", "__doc__"}
_SELF_ATTRIBUTES = {*_SELF_READING, "__code__", "_getframe", "f_code", "co_filename", "orig_argv"}
_DYNAMIC_MODULES = {"marshal", "pickle", "dill", "cloudpickle", "inspect", "importlib", "runpy", "linecache"}
_BLOB = re.compile(rf"[A-Za-z0-9+/=_\-!#$%&()*;<>?@^`{{|}}~]{{{BLOB_LIMIT_CHARACTERS},}}")
_WORD = re.compile(r"[^\W\d_]{2,24}")
_VIDEO = re.compile(r"\.(?:mkv|mp4|hevc|h265|265|h264|ivf|y4m|webm|mov)\b|(?:^|/)videos(?:/|$)", re.IGNORECASE)
_WEIGHTS = re.compile(r"\.(?:safetensors|pth?|onnx|ckpt|npz?|pkl|tflite)\b|(?:pose|seg)net\b.*\.\w+$", re.IGNORECASE)
_OUTSIDE = re.compile(r"^(?:/|~/|\.\./|[A-Za-z]:\\)[\w.]|/\.\./")
_SHELL_NETWORK = re.compile(r"\b(?:curl|wget|git\s+clone|pip3?\s+install|ssh|scp|nc|aria2c|gdown|/dev/tcp)\b")
_SHELL_DYNAMIC = re.compile(r"\b(?:eval|base64|xxd|openssl)\b|\bpython3?\s+-c\b|<<")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One breach of the charge rule, by the name of the rule and the place."""

    rule: str
    path: str
    line: int
    what: str

    def __str__(self) -> str:
        """`rule at path:line: what`."""
        return f"{self.rule} at {self.path}:{self.line}: {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a runtime tree stands to the charge rule."""

    mode: str
    findings: tuple[Finding, ...]
    dense_bytes: int
    text_bytes: int

    @property
    def broken_rules(self) -> tuple[str, ...]:
        """Names of the rules that are broken, each once."""
        return tuple(sorted({finding.rule for finding in self.findings}))


@dataclass(slots=True)
class _Tally:
    dense_bytes: int = 0
    text_bytes: int = 0


def read(
    files: Mapping[str, bytes], members: Mapping[str, bytes] | None = None, declared: str | None = None
) -> Reading:
    """The reading of everything that inflating may run.

    Args:
        files: relative name -> content; code, scripts and whatever lies beside them.
        members: members of the archive, for files that repeat one of them.
        declared: the mode that a packet claims, one of `MODES`.
    """
    known = {custody.sha256_bytes(content): name for name, content in (members or {}).items()}
    findings: list[Finding] = []
    tally = _Tally()
    derived = False
    for name, content in sorted(files.items()):
        if custody.sha256_bytes(content) in known:
            derived = True
        elif name.endswith(".py"):
            findings += _python(name, content, tally)
        elif name.endswith((".sh", ".bash")):
            findings += _shell(name, content)
        elif name.rpartition("/")[2] not in _PLAIN_FILES or len(content) > _PLAIN_LIMIT_BYTES:
            findings.append(_found("charge.not-code", name, 1, f"{len(content):,} bytes that are no code"))
    needed = MODES[2] if tally.dense_bytes > SEEDED_LIMIT_BYTES else MODES[1] if derived else MODES[0]
    if declared is not None and declared not in MODES:
        findings.append(_found("charge.mode", "packet", 0, f"declares {declared!r}, which is no mode"))
    elif declared is not None and MODES.index(declared) < MODES.index(needed):
        findings.append(_found("charge.mode", "packet", 0, f"declares {declared}, but reads as {needed}"))
    for size, limit, kind in (
        (tally.dense_bytes, DENSE_LIMIT_BYTES, "constants"),
        (tally.text_bytes, TEXT_LIMIT_BYTES, "texts and comments"),
    ):
        if size > limit:
            findings.append(_found("charge.budget", "runtime", 0, f"{size:,} bytes of {kind}, budget {limit:,}"))
    return Reading(mode=needed, findings=tuple(findings), dense_bytes=tally.dense_bytes, text_bytes=tally.text_bytes)


def _found(rule: str, path: str, line: int, what: str) -> Finding:
    return Finding(rule=rule, path=path, line=line, what=what)


def _python(name: str, content: bytes, tally: _Tally) -> Iterator[Finding]:
    """Breaches in one Python file."""
    try:
        text = content.decode("utf-8")
        tree = ast.parse(text)
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError) as error:
        yield _found("charge.unreadable", name, 1, f"no Python that can be read: {str(error)[:100]}")
        return
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > LITERAL_LIMIT_BYTES:
            yield _found("charge.literal", name, number, f"a line of {len(line):,} characters")
    for token in tokens:
        if token.type == tokenize.COMMENT:
            tally.text_bytes += len(token.string)
            if _BLOB.search(token.string):
                yield _found("charge.blob", name, token.start[0], "a comment that carries data")
        elif token.type == tokenize.NAME and len(token.string) > NAME_LIMIT_CHARACTERS:
            yield _found("charge.blob", name, token.start[0], f"a name of {len(token.string)} characters")
    documents = _docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            yield from _constant(name, node, node in documents, tally)
        elif isinstance(node, ast.Tuple | ast.List | ast.Set | ast.Dict | ast.Call):
            count = sum(_is_number(item) for item in _within(node))
            if count > NUMBERS_LIMIT:
                yield _found("charge.numbers", name, node.lineno, f"{count:,} numbers in one place")
        yield from _reach(name, node)


def _docstrings(tree: ast.Module) -> set[ast.Constant]:
    found: set[ast.Constant] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                found.add(first.value)
    return found


def _within(node: ast.AST) -> Iterator[ast.AST]:
    """Items of a literal, nested literals included, code inside them not."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Tuple | ast.List | ast.Set | ast.Dict | ast.UnaryOp):
            yield from _within(child)
        else:
            yield child


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float | complex)


def _speaks(text: str, share: float) -> bool:
    """Is at least this share of a text made of words? Hexadecimal and the like are not, however they are spaced."""
    return " " in text and sum(map(len, _WORD.findall(text))) >= share * len(text)


def _constant(name: str, node: ast.Constant, document: bool, tally: _Tally) -> Iterator[Finding]:
    """Breaches of one constant; its size goes to the tally."""
    value = node.value
    if isinstance(value, int) and not isinstance(value, bool):
        size = (value.bit_length() + 7) // 8
        # Small numbers are code; what code does not need is a table.
        tally.dense_bytes += size if size > 4 else 0
        if size > LITERAL_LIMIT_BYTES:
            yield _found("charge.literal", name, node.lineno, f"an integer of {size:,} bytes")
        return
    if not isinstance(value, str | bytes):
        return
    size = len(value.encode("utf-8", errors="replace")) if isinstance(value, str) else len(value)
    text = value if isinstance(value, str) else value.decode("latin-1")
    if isinstance(value, bytes) or (size > 48 and not _speaks(text, 0.3 if document else 0.5)):
        tally.dense_bytes += size if size > 16 else 0
    else:
        tally.text_bytes += size
    if size > LITERAL_LIMIT_BYTES and not (document and not _BLOB.search(text) and size <= 4 * LITERAL_LIMIT_BYTES):
        yield _found("charge.literal", name, node.lineno, f"a literal of {size:,} bytes")
    if _BLOB.search(text):
        yield _found("charge.blob", name, node.lineno, "a literal that looks like base64, base85 or hexadecimal data")
    if document or isinstance(value, bytes) or len(value) > 300:
        return
    for rule, pattern, what in (
        ("charge.source-read", _VIDEO, "names a video"),
        ("charge.networks-used", _WEIGHTS, "names a file of weights"),
        ("charge.outside-path", _OUTSIDE, "a path outside of the archive"),
    ):
        if pattern.search(value):
            yield _found(rule, name, node.lineno, f"{what}: {value[:60]!r}")


def _reach(name: str, node: ast.AST) -> Iterator[Finding]:
    """Breaches by what code imports, calls or looks up."""
    modules: list[str] = []
    if isinstance(node, ast.Import):
        modules = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and not node.level:
        base = node.module or ""
        modules = [base, *(f"{base}.{alias.name}" for alias in node.names)]
    for module in modules:
        heads = {module, module.partition(".")[0], ".".join(module.split(".")[:2])}
        if heads & _SCORER_MODULES:
            yield _found("charge.networks-used", name, node.lineno, f"imports {module}")  # type: ignore[attr-defined]
        if heads & _NETWORK_MODULES or module.startswith("torch.hub"):
            yield _found("charge.network-access", name, node.lineno, f"imports {module}")  # type: ignore[attr-defined]
        if heads & _DYNAMIC_MODULES:
            yield _found("charge.dynamic-code", name, node.lineno, f"imports {module}")  # type: ignore[attr-defined]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _DYNAMIC:
        yield _found("charge.dynamic-code", name, node.lineno, f"calls {node.func.id}")
    if isinstance(node, ast.Name) and node.id in _SELF_READING:
        yield _found("charge.reads-itself", name, node.lineno, f"looks at {node.id}")
    if isinstance(node, ast.Attribute) and node.attr in _SELF_ATTRIBUTES:
        yield _found("charge.reads-itself", name, node.lineno, f"looks at .{node.attr}")
    if isinstance(node, ast.Attribute) and node.attr == "hub":
        yield _found("charge.network-access", name, node.lineno, "looks at .hub")
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and node.slice.value == 0:
        place = ast.unparse(node.value)
        if place in ("sys.argv", "argv", "sys.path") and isinstance(node.ctx, ast.Load):
            yield _found("charge.reads-itself", name, node.lineno, f"looks at {place}[0]")


def _shell(name: str, content: bytes) -> Iterator[Finding]:
    """Breaches in one shell script, line by line."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        yield _found("charge.unreadable", name, 1, "a script that is no text")
        return
    if len(content) > _PLAIN_LIMIT_BYTES:
        yield _found("charge.literal", name, 1, f"a script of {len(content):,} bytes")
    for number, line in enumerate(text.splitlines(), 1):
        code = line if number == 1 or not line.lstrip().startswith("#") else ""
        for rule, pattern, what in (
            ("charge.source-read", _VIDEO, "names a video"),
            ("charge.networks-used", _WEIGHTS, "names a file of weights"),
            ("charge.network-access", _SHELL_NETWORK, "fetches something"),
            ("charge.dynamic-code", _SHELL_DYNAMIC, "makes code or data from text"),
        ):
            if pattern.search(code):
                yield _found(rule, name, number, f"{what}: {code.strip()[:60]!r}")
        if _BLOB.search(line):
            yield _found("charge.blob", name, number, "a line that carries data")
