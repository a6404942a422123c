"""Every error that this package raises on purpose, as one tree.

    LabError
    ├── ContractError             a contract is missing, incomplete or does not match its files
    ├── RecipeError               a recipe asks for something that does not exist
    ├── VideoError                a file is not the video that was promised
    ├── BitstreamError            bytes that no encoder of ours wrote
    │   ├── Truncated                 fewer bytes than the syntax needs
    │   ├── UnknownSyntax             a magic, version or code that is not in the tables
    │   ├── ChecksumMismatch          decoded content differs from the checksum it carries
    │   └── RoundTripMismatch         an encoder's own reconstruction differs from its decode
    ├── EntropyError              a symbol or model that a coder cannot represent
    ├── EvaluationError           a measurement that must not become a score
    │   ├── SampleCountMismatch       too few or too many frames
    │   └── RawSizeMismatch           a raw file of the wrong size
    ├── CustodyError              it is not known what produced something
    │   └── DigestMismatch            bytes differ from the digest on record
    ├── LedgerError               a record that cannot enter or leave the ledger
    │   ├── SchemaMismatch            a field is missing, unknown or of the wrong type
    │   ├── ScoreMismatch             a total that its components do not give
    │   └── DuplicateRun              a record of this id already stands
    ├── ReplayError               an archive that does not inflate inside its walls
    ├── PacketError               a submission packet that is incomplete or unsafe
    │   └── ComplianceError           a packet that breaks a rule of the contest
    ├── TrainingError             a training run that must stop
    ├── SearchError               a search step that was refused
    └── SiteError                 a site that must not be published
        ├── BrokenLink                a link or anchor without a target
        ├── UncitedNumber             a measured number typed by hand
        ├── MediaMissing              a clip or picture that is not there
        └── LeakFound                 something private in the built tree

Wrong arguments of a call stay `ValueError` and `TypeError`.
"""

from __future__ import annotations


class LabError(Exception):
    """Base of all errors of this package.

    The message says where, what was expected, what was found and what to do next; each part also stands as an
    attribute.
    """

    def __init__(self, where: str, *, expected: str = "", found: str = "", fix: str = "") -> None:
        self.where = where
        self.expected = expected
        self.found = found
        self.fix = fix
        parts = [part for part in (expected and f"expected {expected}", found and f"found {found}") if part]
        message = where + (": " + ", ".join(parts) if parts else "")
        super().__init__(f"{message}; {fix}" if fix else message)

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the keyword fields when the error crosses a process boundary."""
        return _rebuild, (type(self), self.where, self.expected, self.found, self.fix)


def _rebuild(cls: type[LabError], where: str, expected: str, found: str, fix: str) -> LabError:
    return cls(where, expected=expected, found=found, fix=fix)


class ContractError(LabError):
    """A contract is missing, incomplete or does not match its files."""


class RecipeError(LabError):
    """A recipe asks for something that does not exist."""


class VideoError(LabError):
    """A file is not the video that was promised."""


class BitstreamError(LabError):
    """Bytes that no encoder of ours wrote."""


class Truncated(BitstreamError):
    """Fewer bytes than the syntax needs."""


class UnknownSyntax(BitstreamError):
    """A magic, version or code that is not in the tables."""


class ChecksumMismatch(BitstreamError):
    """Decoded content differs from the checksum it carries."""


class RoundTripMismatch(BitstreamError):
    """An encoder's own reconstruction differs from its decode."""


class EntropyError(LabError):
    """A symbol or model that a coder cannot represent."""


class EvaluationError(LabError):
    """A measurement that must not become a score."""


class SampleCountMismatch(EvaluationError):
    """Too few or too many frames."""


class RawSizeMismatch(EvaluationError):
    """A raw file of the wrong size."""


class CustodyError(LabError):
    """It is not known what produced something."""


class DigestMismatch(CustodyError):
    """Bytes differ from the digest on record."""


class LedgerError(LabError):
    """A record that cannot enter or leave the ledger."""


class SchemaMismatch(LedgerError):
    """A field is missing, unknown or of the wrong type."""


class ScoreMismatch(LedgerError):
    """A total that its components do not give."""


class DuplicateRun(LedgerError):
    """A record of this id already stands."""


class ReplayError(LabError):
    """An archive that does not inflate inside its walls."""


class PacketError(LabError):
    """A submission packet that is incomplete or unsafe."""


class ComplianceError(PacketError):
    """A packet that breaks a rule of the contest."""


class TrainingError(LabError):
    """A training run that must stop."""


class SearchError(LabError):
    """A search step that was refused."""


class SiteError(LabError):
    """A site that must not be published."""


class BrokenLink(SiteError):
    """A link or anchor without a target."""


class UncitedNumber(SiteError):
    """A measured number typed by hand."""


class MediaMissing(SiteError):
    """A clip or picture that is not there."""


class LeakFound(SiteError):
    """Something private in the built tree."""
