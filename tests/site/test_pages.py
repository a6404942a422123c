"""Pages hold what they promise: valid HTML, working links, sums to the byte, deltas against the true parent."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import html5lib
import pytest
import shelf
from conftest import ROOT, SOURCE, build

from lab.errors import BrokenLink, MediaMissing, ScoreMismatch, SiteError
from lab.site import check, data, host, lineage


def page(built: SimpleNamespace, url: str) -> str:
    return built.tree[url.strip("/") + "/index.html" if url != "/" else "index.html"].decode()


def test_every_page_is_valid_html(built: SimpleNamespace) -> None:
    for name, content in built.tree.items():
        if name.endswith(".html"):
            html5lib.HTMLParser(strict=True).parse(content.decode())


def test_every_kind_of_page_exists(built: SimpleNamespace, made: shelf.Made) -> None:
    kinds = (
        "",
        "ledger/",
        f"ledger/{shelf.NAME}/",
        "notebook/",
        "reading/",
        "judges/",
        "glossary/",
        "changes/",
        "data/",
    )
    assert {f"{kind}index.html" for kind in kinds} <= set(built.tree)
    assert {f"runs/{shelf.NAME}/{identifier}/index.html" for identifier in made.ids.values()} <= set(built.tree)
    assert {"404.html", "_headers", "_redirects", "robots.txt", f"data/{shelf.NAME}/ledger.csv"} <= set(built.tree)
    assert "sitemap.xml" not in built.tree  # no address is published yet


def test_every_caption_ends_with_run_and_grade_or_with_where_its_numbers_come_from(built: SimpleNamespace) -> None:
    captions = [
        (name, caption)
        for name, content in built.tree.items()
        if name.endswith(".html")
        for caption in re.findall(
            r'<figure class="chart".*?<figcaption>(.*?)</figcaption>', content.decode(), re.DOTALL
        )
    ]
    assert captions
    for name, caption in captions:
        assert re.search(r'class="signature">.*(grade|no run of the ledger|sizes in contract)', caption, re.DOTALL), (
            name,
            caption,
        )


def test_links_stay_relative_except_on_the_error_page(built: SimpleNamespace) -> None:
    for name, content in built.tree.items():
        if name.endswith(".html") and name != "404.html":
            assert not re.search(r'(?:href|src)="/', content.decode()), name


def test_the_landing_states_the_frontier_to_the_last_digit(built: SimpleNamespace) -> None:
    best = built.book.main.boards[0].frontier
    text = re.sub(r"<[^>]+>", "", page(built, "/"))
    assert repr(best.total) in text
    assert f"{best.n_bytes:,}" in text
    assert built.book.main.boards[0].entries[0].total > best.total


def test_the_landing_is_light_and_runs_no_inline_script(built: SimpleNamespace) -> None:
    names = re.findall(r'(?:href|src)="\./((?:assets|media)/[^"]+)"', page(built, "/"))
    weight = len(page(built, "/").encode()) + sum(data.size_of(built.tree[name]) for name in set(names))
    assert len(set(names)) >= 3
    assert weight <= 200_000  # uncompressed; pictures of the synthetic clip are small


def test_charts_link_every_run_and_carry_the_same_rows(built: SimpleNamespace) -> None:
    html = page(built, "/")
    wide = html[html.index('class="plot wide"') : html.index('class="plot narrow"')]
    assert len(shelf.RUNS) == len(re.findall(r'<a class="point', wide))
    assert {"mark promoted", "mark rejected", "mark open"} <= set(re.findall(r'class="(mark \w+)"', wide))
    assert "off-scale" in wide  # the run beyond the edge is drawn at it and named
    assert "av1-broken</a> (" in html


def test_deltas_are_taken_against_the_true_parent(built: SimpleNamespace, made: shelf.Made) -> None:
    board = built.book.main.boards[0]
    entry = board.by_id[made.ids["av1-grid-crf42"]]
    parent = board.by_id[made.ids["av1-grid-crf30"]]
    delta = lineage.from_parent(entry, board)
    assert delta is not None
    assert delta.total == entry.total - parent.total
    assert delta.n_bytes == entry.n_bytes - parent.n_bytes
    assert pytest.approx(delta.total) == delta.segnet_term + delta.posenet_term + delta.rate_term


def test_runs_of_two_axes_are_never_compared(small: shelf.Made, tmp_path: Path) -> None:
    record = shelf.a_record(small.contract, "other", data="ab" * 32, n_bytes=900, pairs=[(0.0, 0.0)] * 6)
    record["evaluation"]["axis"] = "cuda"
    path = small.ledgers / shelf.NAME / "runs" / f"{record['id']}.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    main = build(small.ledgers, tmp_path / "cache").book.main
    assert [board.axis for board in main.boards] == ["cpu", "cuda"]
    assert main.boards[0].frontier.run.axis == "cpu"  # although the other total is far lower
    with pytest.raises(ValueError, match="must not be compared"):
        lineage.delta(main.boards[0].entries[0], main.boards[1].entries[0])


def test_two_views_of_the_rate_stand_side_by_side_and_labelled(built: SimpleNamespace) -> None:
    best = built.book.main.boards[0].frontier
    whole = best.contract.score(
        segnet=best.data["evaluation"]["segnet"],
        posenet=best.data["evaluation"]["posenet"],
        archive_bytes=best.rule_faithful_bytes,
    )
    for url in ("/", best.url):
        rows = re.findall(r'<tr><th scope="row"[^>]*>(as scored|rule-faithful)</th>(.*?)</tr>', page(built, url))
        assert [name for name, _ in rows] == ["as scored", "rule-faithful"], url
        assert f"{best.n_bytes:,}" in rows[0][1] and f"{best.total:.6f}" in rows[0][1]
        assert f"{best.rule_faithful_bytes:,}" in rows[1][1] and f"{whole.total:.6f}" in rows[1][1]


def test_a_superseded_run_keeps_its_page_but_leaves_the_board(small: shelf.Made, tmp_path: Path) -> None:
    old = small.ids["x265-camera-crf30-intra"]
    record = json.loads((small.ledgers / shelf.NAME / "runs" / f"{old}.json").read_text(encoding="utf-8"))
    record |= {"id": "again-00000000", "supersedes": old}
    (small.ledgers / shelf.NAME / "runs" / "again-00000000.json").write_text(json.dumps(record), encoding="utf-8")
    built = build(small.ledgers, tmp_path / "cache")
    assert old not in built.book.main.boards[0].by_id
    assert "Superseded by" in page(built, f"/runs/{shelf.NAME}/{old}/")
    above, _, history = page(built, f"/ledger/{shelf.NAME}/").partition('id="history"')
    assert f"runs/{shelf.NAME}/{old}/" in history and f"runs/{shelf.NAME}/again-00000000/" in above
    assert f"runs/{shelf.NAME}/{old}/" not in above.partition('class="ledger"')[2]


def test_runs_of_a_former_state_of_the_contract_are_history(small: shelf.Made, tmp_path: Path) -> None:
    path = small.contract.root / "contract.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("time_limit_s = 1800", "time_limit_s = 900"))
    built = build(small.ledgers, tmp_path / "cache")
    assert built.book.main.boards == () and built.book.main.current == ()
    assert "No ranked run yet" in page(built, "/")
    one = small.ids["baseline-fast"]
    assert f"runs/{shelf.NAME}/{one}/" in page(built, f"/ledger/{shelf.NAME}/").partition('id="history"')[2]
    assert "Measured under a former state of the contract" in page(built, f"/runs/{shelf.NAME}/{one}/")


def test_an_empty_ledger_still_gives_a_helpful_site(tmp_path: Path) -> None:
    (tmp_path / "ledgers").mkdir()
    built = build(tmp_path / "ledgers", tmp_path / "cache")
    assert "No ranked run yet" in page(built, "/")
    assert "lab run conventional/quickstart" in page(built, "/")
    assert "aligned-resampling" in {text.document.slug for text in built.plan.waiting}
    assert "does not hold yet" in page(built, "/notebook/aligned-resampling/")


def test_a_total_that_its_components_do_not_give_stops_the_build(small: shelf.Made, tmp_path: Path) -> None:
    path = next((small.ledgers / shelf.NAME / "runs").glob("*.json"))
    record = json.loads(path.read_text(encoding="utf-8"))
    record["score"]["total"] -= 0.01
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(ScoreMismatch, match="from its components"):
        build(small.ledgers, tmp_path / "cache")


def test_sections_that_miss_one_byte_stop_the_build(small: shelf.Made, tmp_path: Path) -> None:
    path = small.ledgers / shelf.NAME / "evidence" / small.ids["baseline-fast"] / "anatomy.json"
    anatomy = json.loads(path.read_text(encoding="utf-8"))
    anatomy["sections"][-1]["n_bytes"] -= 1
    path.write_text(json.dumps(anatomy), encoding="utf-8")
    with pytest.raises(SiteError, match="sum to the file"):
        build(small.ledgers, tmp_path / "cache")


def test_pairs_whose_mean_is_another_component_stop_the_build(small: shelf.Made, tmp_path: Path) -> None:
    path = small.ledgers / shelf.NAME / "evidence" / small.ids["baseline-fast"] / "pairs.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[1] = "0,0.5,0.5"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(SiteError, match="a mean segnet of"):
        build(small.ledgers, tmp_path / "cache")


def test_evidence_of_another_archive_stops_the_build(small: shelf.Made, tmp_path: Path) -> None:
    folder = small.ledgers / shelf.NAME / "evidence"
    shutil.copy(folder / small.ids["baseline-fast"] / "anatomy.json", folder / small.ids["x265-camera-crf30-intra"])
    with pytest.raises(SiteError, match="the archive on record"):
        build(small.ledgers, tmp_path / "cache")


def test_the_archive_bar_sums_to_the_archive(built: SimpleNamespace) -> None:
    for entry in built.book.main.entries:
        assert entry.anatomy is not None
        assert sum(row.section.n_bytes for row in entry.anatomy.leaves) == entry.n_bytes


def test_a_dead_link_and_a_missing_picture_are_named(built: SimpleNamespace) -> None:
    tree = dict(built.tree)
    tree["index.html"] = tree["index.html"].replace(b'href="./reading/"', b'href="./raeding/"')
    with pytest.raises(BrokenLink, match="raeding"):
        check.check(tree)
    tree = {name: content for name, content in built.tree.items() if not name.endswith(".webp")}
    with pytest.raises(MediaMissing, match=r"\.webp"):
        check.check(tree)
    tree = dict(built.tree)
    tree["index.html"] = tree["index.html"].replace(b"</main>", b'<a href="./reading/#nowhere">x</a></main>')
    with pytest.raises(BrokenLink, match="nowhere"):
        check.check(tree)


def test_an_inline_script_or_style_is_refused(built: SimpleNamespace) -> None:
    for planted in (b"<script>1</script>", b'<p style="color:red">', b'<p onclick="x()">'):
        tree = dict(built.tree)
        tree["index.html"] = tree["index.html"].replace(b"</main>", planted + b"</main>")
        with pytest.raises(SiteError, match="no inline"):
            check.check(tree)


def test_limits_of_the_host_are_checked(built: SimpleNamespace) -> None:
    with pytest.raises(SiteError, match="25 MiB"):
        check.check({**built.tree, "data/large.bin": bytes(check.ASSET_LIMIT_BYTES + 1)})
    with pytest.raises(SiteError, match="files"):
        check.check({**built.tree, **{f"x/{i}.txt": b"" for i in range(check.FILE_LIMIT)}})


def test_the_content_policy_allows_no_inline_code_and_no_other_host() -> None:
    assert "unsafe" not in host.POLICY
    assert "http" not in host.POLICY
    assert "default-src 'none'" in host.POLICY


def test_the_packet_manifest_agrees_with_its_files(built: SimpleNamespace) -> None:
    lines = built.tree["packet/frontier/manifest-sha256.txt"].decode().splitlines()
    listed = {line.split("  ")[1]: line.split("  ")[0] for line in lines}
    present = {name.removeprefix("packet/frontier/") for name in built.tree if name.startswith("packet/frontier/")}
    assert present == set(listed) | {"manifest-sha256.txt"}
    assert all(data.digest_of(built.tree[f"packet/frontier/{name}"]) == digest for name, digest in listed.items())
    assert listed["archive.zip"] == built.book.main.boards[0].frontier.data["custody"]["archive_sha256"]


def test_every_asset_of_site_src_carries_its_digest(built: SimpleNamespace) -> None:
    for path in (SOURCE / "assets").iterdir():
        assert any(re.fullmatch(rf"assets/{path.stem}\.[0-9a-f]{{10}}\{path.suffix}", name) for name in built.tree)


def test_pages_are_built_without_torch_or_arrays(made: shelf.Made, tmp_path: Path) -> None:
    """A fresh interpreter builds all pages, clips from the cache, and has loaded neither networks nor arrays."""
    code = (
        "import sys; sys.path.insert(0, 'tests/site'); sys.argv = ['x']\n"
        "from pathlib import Path; from functools import partial\n"
        "from lab.site import intake, plan, render, check\n"
        f"shelves = intake.load(Path('site_src'), Path({str(made.ledgers)!r}))\n"
        "planned = plan.make(shelves, {}, partial(render.figure_makers, Path('templates')))\n"
        "check.check(render.render(planned, Path('templates')))\n"
        "print(sorted({'torch', 'numba', 'numpy', 'av', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
