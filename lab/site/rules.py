"""What no published text may hold: the rules of the house, and the detectors of detect-secrets for tokens of providers.

Each rule names texts of which one must occur before its pattern is tried; `sieve` looks for all of them in one pass.
detect-secrets' entropy detectors are left out: every digest is a hit to them, and so is its public address detector,
to which a version of four parts is one. Lines go to the detectors themselves, past the filters around them, so that a
remark in a scanned text cannot switch one off.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`pattern` is tried where one of `needles` occurs, in the `kinds` of text named, or in all.

    Needles are in lower case and case does not count. `first`: where they occur everywhere, what every hit holds
    instead, as a pattern of bytes that knows no look-around; a byte from 128 on may be part of any letter or digit.
    """

    needles: tuple[str, ...]
    pattern: re.Pattern[str]
    kinds: frozenset[str] = field(default=frozenset())
    first: str = ""


def _rule(pattern: str, *needles: str, kinds: Sequence[str] = (), first: str = "") -> Rule:
    return Rule(
        needles=needles,
        pattern=re.compile(pattern, re.MULTILINE),
        kinds=frozenset(kinds),
        first=first,
    )


# fmt: off
_FOLDERS: tuple[str, ...] = (
    "/home/", "/root/", "/users/", "/work/", "/tmp/", "/var/", "/mnt/", "/workspace/", "/opt/", "/private/",
    "/usr/local/", "/content/", "/scratch/", "/srv/", "/volumes/", "/gpfs/", "/lustre/", "/media/",
)
_ENVIRONMENT: tuple[str, ...] = (
    "user", "logname", "home", "hostname", "pwd", "ssh_", "slurm_", "aws_", "azure_", "google_", "wandb_", "hf_",
    "kubernetes_", "modal_", "runpod_", "cloudflare_", "vast_", "gcp_", "pbs_",
)
# fmt: on

_QUAD = r"\.[\d\x80-\xff]{1,12}\.[\d\x80-\xff]{1,12}\."  # the middle of an address of four parts

RULES: dict[str, Rule] = {
    "absolute path of a machine": _rule(
        r"(?<![\w./:<-])/(?:home|root|Users|work|tmp|var/(?:folders|tmp|lib)|mnt|workspace|opt|private|usr/local|content"
        r"|scratch|srv|Volumes|gpfs|lustre|media/[\w-]+/(?=[\w-]+/))/?(?<=/)[\w.-]+",
        *_FOLDERS,
    ),
    "path in a home folder": _rule(r"(?<![\w~/.-])~[a-z_][\w-]*/[\w.-]+|(?<![\w~/.-])~/[\w.-]+", "~"),
    "path of a Windows user": _rule(
        r"[A-Za-z]:\\{1,2}(?:Users|Documents and Settings)\\{1,2}\w+|\\\\[\w-]+\\(?:Users|home)\\\w+",
        "\\users\\", "\\documents", "\\home\\",
    ),
    "file URL": _rule(r"\bfile://", "file://"),
    "private address": _rule(
        r"(?<![\d.])(?:10\.\d{1,3}|192\.168|172\.(?:1[6-9]|2\d|3[01])|169\.254|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7]))"
        r"\.\d{1,3}\.\d{1,3}(?![\d.])",
        "10.", "192.168.", "172.", "169.254.", "100.",
        first=_QUAD,
    ),
    "private IPv6 address": _rule(
        r"(?i)(?<![\w:])(?:f[cd][0-9a-f]{2}|fe80):(?:[0-9a-f]{0,4}:){1,6}[0-9a-f]{1,4}(?![\w:])", "fc", "fd", "fe80:",
        first=r"f[cde][0-9a-f]{2}:",
    ),
    "address of a machine": _rule(
        r"(?:@|//)(?!127\.|0\.0\.)\d{1,3}(?:\.\d{1,3}){3}\b|(?<![\w.])(?!127\.|0\.0\.)\d{1,3}(?:\.\d{1,3}){3}:\d{2,5}\b",
        "@", "//", ":",
        first=_QUAD,
    ),
    "private host": _rule(
        r"(?i)\b[\w-]+\.(?:internal|intranet|lan|corp|localdomain)\b(?![\w(=])", ".internal", ".intranet", ".lan",
        ".corp", ".localdomain",
    ),
    "host of a cloud": _rule(
        r"(?i)\bec2-\d+-\d+-\d+-\d+|\bip-\d+-\d+-\d+-\d+\b|[\w-]\.compute(?:-1)?\.amazonaws\.com|[\w-]\.cloudapp\.azure"
        r"\.com|\bssh\d*\.vast\.ai|[\w-]\.runpod\.(?:io|net)|[\w-]\.modal\.run|[\w-]\.cloudspaces\.litng\.ai",
        "ec2-", "ip-", ".amazonaws.com", ".azure.com", "vast.ai", "runpod", ".modal.run", ".litng.ai",
    ),
    "id in a cloud": _rule(
        r"\bi-[0-9a-f]{17}\b|\barn:aws[\w-]*:|/subscriptions/[0-9a-f]{8}-[0-9a-f-]{27}|\bprojects/[\w-]+/(?:zones|"
        r"locations|instances)/|\b(?:s3|gs)://[\w.-]+",
        "i-", "arn:aws", "/subscriptions/", "projects/", "s3://", "gs://",
    ),
    "id of a job": _rule(
        r"(?i)\b(?:slurm|pbs|sge|lsf)[ _-]?job[ _-]?(?:id)?[ =:#\"]+\d+|\bjob[ _]?id[ =:#\"]+\d{4,}"
        r"|\bsubmitted batch job \d+",
        "slurm", "pbs", "sge", "lsf", "job",
    ),
    "name of a user or host": _rule(
        r"\b[a-z_][a-z0-9_-]{1,31}@[A-Za-z][\w.-]*:[~/]|(?i:\"(?:user|username|login|logname|hostname|nodename|fqdn)\""
        r"\s*:\s*\"[^\"]+\")",
        "@", '"user', '"log', '"hostname', '"nodename', '"fqdn',
    ),
    "author of a commit": _rule(
        r"^[ \t#>*-]*(?:Author|Committer|Commit|Co-authored-by|Signed-off-by):[ \t]+[^\n]*[<@]",
        "author", "commit", "signed-off-by",
    ),
    "e-mail address": _rule(r"\b[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b", "@"),
    "telephone number": _rule(r"(?<![\w.+])\+[1-9]\d{0,2}[ (-]{1,2}(?:[ ()-]{0,2}\d){7,12}(?![\w.])", "+",
        first=r"\+[1-9][\d\x80-\xff]{0,8}[ (-]",
    ),
    "SSH endpoint": _rule(
        r"\b(?:ssh|scp|sftp|rsync)\s+(?:-\w+(?:\s+[^\s-]\S*)?\s+)*[\w.-]+@[\w.-]+|\bssh://\S+|\bgit@[\w.-]+:", "ssh",
        "scp", "sftp", "rsync", "git@",
    ),
    "environment assignment": _rule(
        r"(?<![\w$.-])(?:USER|USERNAME|LOGNAME|HOME|HOSTNAME|PWD|OLDPWD|(?:SSH|SLURM|PBS|AWS|AZURE|GOOGLE|GCP|WANDB|HF|"
        r"KUBERNETES|MODAL|RUNPOD|CLOUDFLARE|VAST)_[A-Z_]+)=[\"']?[^\s\"'<>&;$)]+",
        *_ENVIRONMENT,
    ),
    "private key": _rule(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY|AGE-SECRET-KEY-1", "private key", "age-secret-key-"),
    "access token": _rule(
        r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}|(?:AKIA|ASIA)[A-Z0-9]{16}|hf_[A-Za-z]{30,}"
        r"|sk-(?:proj-|ant-|or-)?[A-Za-z0-9_-]{20,}|xox[a-z]-[\w-]{10,}|xapp-[\w-]{10,}|AIza[\w-]{35}|ya29\.[\w-]{20,}"
        r"|glpat-[\w-]{20,}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}|npm_[A-Za-z0-9]{36}|dop_v1_[0-9a-f]{64}"
        r"|dapi[0-9a-f]{32}|r8_[A-Za-z0-9]{37}|gsk_[A-Za-z0-9]{40,}|xai-[A-Za-z0-9]{40,}|lin_api_[A-Za-z0-9]{32,}"
        r"|shp(?:at|ss|ca)_[0-9a-fA-F]{32}|hv[sb]\.[\w-]{24,}|tskey-[\w-]{20,}|pypi-[\w-]{50,}|whsec_\w{24,}"
        r"|sntry[su]_[\w=+/-]{40,})",
        "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "akia", "asia", "hf_", "sk-", "xox", "xapp-", "aiza",
        "ya29.", "glpat-", "eyj", "npm_", "dop_v1_", "dapi", "r8_", "gsk_", "xai-", "lin_api_", "shpat_", "shpss_",
        "shpca_", "hvs.", "hvb.", "tskey-", "pypi-", "whsec_", "sntry",
    ),
    "secret assignment": _rule(
        r"(?i)\b[\w-]{0,40}(?:secret|passw(?:or)?d|api_?key|access_?key|access_?token|auth_?token|api_?token|bearer)"
        r"[\w-]{0,20}[\"']?\s{0,4}(?:[=:]|\s)\s{0,4}[\"']?(?=[^\s\"'{}<>()]*\d)[^\s\"'{}<>()\[\],;$.]{12,}",
        "secret", "passw", "apikey", "api_key", "access", "auth", "api_token", "apitoken", "bearer",
    ),
    "source map": _rule(r"sourceMappingURL=", "sourcemappingurl="),
    "remark in a page": _rule(r"<!--(?!\[)", "<!--", kinds=("html", "svg")),
    "traces of an editor": _rule(
        r"(?i)\b(?:sodipodi|inkscape):[\w-]+=|\bxmlns:(?:sodipodi|inkscape|serif|sketch|i|x)=|<metadata\b|<i:pgf",
        "sodipodi", "inkscape", "xmlns:", "<metadata", "<i:pgf", kinds=("html", "svg"),
    ),
    "script in a picture": _rule(
        r"(?i)<script\b|\son\w+\s*=|<foreignObject", "<script", " on", "<foreign", kinds=("svg",)
    ),
    "notebook": _rule(r"\"(?:output_type|cell_type)\"\s*:", '"output_type', '"cell_type'),
    "traceback": _rule(r"Traceback \(most recent call last\):\s*$", "traceback (most"),
}  # fmt: skip

# detector of detect-secrets -> texts of which one must stand in a line (as written) for it to be asked
DETECTORS: dict[str, tuple[str, ...]] = {
    "ArtifactoryDetector": ("AKC", "AP"),
    "AWSKeyDetector": ("A3T", "ABIA", "ACCA", "AKIA", "ASIA", "aws", "AWS"),
    "AzureStorageKeyDetector": ("AccountKey=",),
    "BasicAuthDetector": ("://",),
    "CloudantDetector": ("cloudant", "cl_", "clou_"),
    "DiscordBotTokenDetector": (".",),
    "GitHubTokenDetector": ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    "GitLabTokenDetector": ("gl", "GR1348941"),
    "IbmCloudIamDetector": ("ibm", "iam"),
    "IbmCosHmacDetector": ("secret",),
    "JwtTokenDetector": ("eyJ",),
    "MailchimpDetector": ("-us",),
    "NpmDetector": ("_authToken",),
    "OpenAIDetector": ("T3BlbkFJ",),
    "PrivateKeyDetector": ("PRIVATE KEY", "PuTTY"),
    "PypiTokenDetector": ("pypi-",),
    "SendGridDetector": ("SG.",),
    "SlackDetector": ("xox", "hooks.slack.com"),
    "SoftlayerDetector": ("softlayer", "sl_", "slapi"),
    "SquareOAuthDetector": ("sq0csp-",),
    "StripeDetector": ("k_live_",),
    "TelegramBotTokenDetector": (":",),
    "TwilioKeyDetector": ("AC", "SK"),
}
LEFT_OUT = ("Base64HighEntropyString", "HexHighEntropyString", "IPPublicDetector", "KeywordDetector")
# detectors whose texts occur in every line: what must be found instead, as a pattern of bytes without look-around
FIRST: dict[str, str] = {
    "DiscordBotTokenDetector": r"[MNO][\w-]{23,25}\.[\w-]{6}\.[\w-]{27}",
    "TelegramBotTokenDetector": r"\d{8}:[\w-]{35}",
    "GitLabTokenDetector": r"(gl[a-z]{2,12}-|GR1348941)",
    "BasicAuthDetector": r"://[^\s/\"'<>@]+:[^\s/\"'<>@]+@",
    "ArtifactoryDetector": r"(AKC\w{10}|AP[\dA-F]\w{8})",
}
# what besides must stand in the line before a detector is asked, which alone would take digests for tokens
EXACTLY: dict[str, re.Pattern[str]] = {
    "TelegramBotTokenDetector": re.compile(r"(?<![\w.])\d{8,10}:(?=[\w-]*[A-Z])[\w-]{35}(?![\w-])"),
    "ArtifactoryDetector": re.compile(r"(?:[\s=:\"]|^)(?:AKC\w{10}|AP[\dA-F](?=\w*\d)\w{8})"),
}


@cache
def detectors() -> dict[str, Any]:
    """A detector of each class in `DETECTORS`, by its name. detect-secrets is imported here, and only once."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    classes: dict[str, Any] = dict(get_mapping_from_secret_type_to_class())
    known = {each.__name__: each for each in classes.values()}
    return {name: known[name]() for name in DETECTORS}
