"""What is scored: source, sizes, networks and the formula. Everything that makes two scores comparable.

Scores compare only inside one contract. A contract is read from `contract.toml`; it lies in the package for the
contracts that ship, and in `<ledgers>/<name>/` for the user's own. No pixels and no networks are touched here.

Example:
    >>> formula = Formula(segnet=100.0, posenet=10.0, rate=25.0)
    >>> score = formula.score(segnet=0.000575697, posenet=0.000033274, archive_bytes=178_981, source_bytes=37_545_489)
    >>> round(score.total, 6)
    0.194987
"""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

from lab.errors import ContractError

SHIPPED = Path(__file__).parent / "contracts"
FILE_NAME = "contract.toml"
_FREE = ("root", "title", "note", "kind", "digest")


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The three terms of a score; lower is better."""

    segnet_term: float
    posenet_term: float
    rate_term: float

    @property
    def total(self) -> float:
        """The sum of the three terms."""
        return self.segnet_term + self.posenet_term + self.rate_term


@dataclass(frozen=True, slots=True, kw_only=True)
class Formula:
    """Weights of S = segnet * seg + sqrt(posenet * pose) + rate * archive_bytes / source_bytes."""

    segnet: float
    posenet: float
    rate: float

    def score(self, *, segnet: float, posenet: float, archive_bytes: int, source_bytes: int) -> Score:
        """The three terms of measured components.

        Args:
            segnet: share of pixels whose class differs, 0-1, a mean over pairs.
            posenet: mean squared error of the six scored pose outputs, a mean over pairs.
            archive_bytes: size of the archive as charged.
            source_bytes: size of the declared source file, the rate's denominator.

        Raises:
            ValueError: a component is not finite or is negative, or a size is not positive.
        """
        if not (math.isfinite(segnet) and math.isfinite(posenet) and segnet >= 0.0 and posenet >= 0.0):
            raise ValueError(f"components must be finite and not negative, got segnet={segnet}, posenet={posenet}")
        if archive_bytes <= 0 or source_bytes <= 0:
            raise ValueError(f"sizes must be positive, got archive={archive_bytes}, source={source_bytes}")
        return Score(
            segnet_term=self.segnet * segnet,
            posenet_term=math.sqrt(self.posenet * posenet),
            rate_term=self.rate * archive_bytes / source_bytes,
        )

    def byte_price(self, source_bytes: int) -> float:
        """What one archive byte costs in score."""
        return self.rate / source_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """The one source video: the only file whose bytes are the rate's denominator."""

    file: str
    sha256: str
    bytes: int
    n_frames: int
    fps: str

    @property
    def rate(self) -> Fraction:
        """Frames per second as an exact fraction."""
        return Fraction(self.fps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """One frozen network: the callable that builds it and the weights that fill it."""

    factory: str
    weights: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """Everything that makes two scores comparable. Sizes are (height, width)."""

    name: str
    title: str
    kind: str
    root: Path
    source: SourceFile
    frame_size: tuple[int, int]
    model_size: tuple[int, int]
    n_pairs: int
    classes: tuple[str, ...]
    networks: dict[str, Network]
    formula: Formula
    time_limit_s: int
    note: str = ""
    digest: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Decide `digest`, the SHA-256 of what the contract fixes; title, note and place on disk do not count."""
        fixed = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in _FREE}
        for name in ("source", "formula"):
            fixed[name] = asdict(fixed[name])
        fixed["networks"] = {name: asdict(network) for name, network in self.networks.items()}
        text = json.dumps(fixed, sort_keys=True, separators=(",", ":"))
        object.__setattr__(self, "digest", hashlib.sha256(text.encode()).hexdigest())

    @property
    def source_path(self) -> Path:
        """Where the source video lies, whether or not it is there."""
        return self.root / self.source.file

    def weights_path(self, network: str) -> Path:
        """Where the weights of `segnet` or `posenet` lie; a contract of the user's own may share those of another."""
        shared, _, file = self.networks[network].weights.rpartition(":")
        return (SHIPPED / shared / file) if shared else self.root / file

    @property
    def raw_bytes(self) -> int:
        """Exact size of the raw RGB file that a decoder must write."""
        return 2 * self.n_pairs * self.frame_size[0] * self.frame_size[1] * 3

    def score(self, *, segnet: float, posenet: float, archive_bytes: int) -> Score:
        """The score of measured components under this contract."""
        return self.formula.score(
            segnet=segnet, posenet=posenet, archive_bytes=archive_bytes, source_bytes=self.source.bytes
        )


def parse(text: str, root: Path, where: str) -> Contract:
    """A contract from the text of its `contract.toml`.

    Raises:
        ContractError: not TOML, a key is missing, or a value has the wrong type or range.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ContractError(
            where, expected="TOML", found=str(error), fix="restore the file from version control"
        ) from None
    try:
        contract = Contract(
            name=str(raw["name"]),
            title=str(raw["title"]),
            kind=str(raw["kind"]),
            root=root,
            source=SourceFile(**raw["source"]),
            frame_size=_size(raw["frame_size"]),
            model_size=_size(raw["model_size"]),
            n_pairs=int(raw["n_pairs"]),
            classes=tuple(map(str, raw["classes"])),
            networks={name: Network(**raw["networks"][name]) for name in ("segnet", "posenet")},
            formula=Formula(**{key: float(value) for key, value in raw["formula"].items()}),
            time_limit_s=int(raw["time_limit_s"]),
            note=str(raw.get("note", "")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ContractError(
            where,
            expected="the keys of a contract",
            found=f"{type(error).__name__} {error}",
            fix="see `lab contract show minidrive`",
        ) from None
    _check(contract, where)
    return contract


def _size(value: Any) -> tuple[int, int]:
    height, width = (int(side) for side in value)
    return height, width


def _check(contract: Contract, where: str) -> None:
    height, width = contract.frame_size
    model_height, model_width = contract.model_size
    if not (0 < height <= 8192 and 0 < width <= 8192):
        raise ContractError(where, expected="a frame size of 1 to 8192", found=f"{height}x{width}")
    if height < model_height or width < model_width:
        raise ContractError(
            where,
            expected=f"frames of at least the model grid {model_height}x{model_width}",
            found=f"{height}x{width}",
            fix="use a larger video",
        )
    if not 0 < contract.n_pairs <= 100_000:
        raise ContractError(where, expected="1 to 100,000 pairs", found=str(contract.n_pairs))
    if contract.source.bytes <= 0:
        raise ContractError(where, expected="a source of at least one byte", found=str(contract.source.bytes))


def names(ledgers: Path | None = None) -> list[str]:
    """Every contract that can be loaded, the shipped ones first."""
    shipped = sorted(path.parent.name for path in SHIPPED.glob(f"*/{FILE_NAME}"))
    own = sorted(path.parent.name for path in ledgers.glob(f"*/{FILE_NAME}")) if ledgers and ledgers.is_dir() else []
    return shipped + [name for name in own if name not in shipped]


def load(name: str, ledgers: Path | None = None) -> Contract:
    """The contract of this name: the shipped one, else the user's own under `ledgers`.

    Raises:
        ContractError: no such contract, or its file is not a contract.
    """
    for root in (SHIPPED / name, *([ledgers / name] if ledgers else [])):
        path = root / FILE_NAME
        if path.parent.name == name and path.is_file():
            contract = parse(path.read_text(encoding="utf-8"), root, f"contract {name!r}")
            if contract.name != name:
                raise ContractError(f"contract {name!r}", expected=f"name {name!r} inside", found=repr(contract.name))
            return contract
    raise ContractError(
        f"contract {name!r}",
        expected="one of " + (", ".join(names(ledgers)) or "none installed"),
        fix="`lab contract new NAME --video FILE` makes your own",
    )
