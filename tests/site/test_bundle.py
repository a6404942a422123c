"""The manifests of a site: every file by its digest, and placeholders that stay until something is published."""

from __future__ import annotations

import hashlib
import json
import re
from types import SimpleNamespace

from lab.site import bundle, publish


def test_the_bundle_names_every_other_file_with_its_digest(built: SimpleNamespace) -> None:
    listed = json.loads(built.tree[bundle.BUNDLE])
    assert set(listed["files"]) == set(built.tree) - {bundle.BUNDLE}
    for name, facts in listed["files"].items():
        content = publish.read(built.tree[name])
        assert facts == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_the_bundle_counts_what_was_left_out_and_names_its_sources(built: SimpleNamespace) -> None:
    listed = json.loads(built.tree[bundle.BUNDLE])
    assert sum(listed["omissions"]["by_reason"].values()) == listed["omissions"]["fields"] == len(built.book.withheld)
    records = listed["sources"]["records"]
    assert {name: facts["runs"] for name, facts in records.items()} == {
        shelf.contract.name: len(shelf.entries) for shelf in built.book.shelves
    }


def test_a_release_keeps_its_placeholders_until_an_address_is_set(built: SimpleNamespace) -> None:
    named = json.loads(built.tree[bundle.RELEASE])
    assert built.book.site.url == ""
    assert named["url"] == named["repository"] == bundle.PLACEHOLDER
    assert set(named["packets"]) == {name for name in built.tree if re.fullmatch(r"packet/[^/]+\.zip", name)}
