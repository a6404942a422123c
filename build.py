"""From ledger and notebook to a static site: load, plan, render, check, write, report.

    python build.py                  build public/, in one swap, after every check has passed
    python build.py --check          build and check everything, write nothing, compare with what is there
    python build.py --serve          build, then show the site on this machine
    python build.py --watch          build, and again whenever ledger, prose or templates change; with --serve, show it
    python build.py --redact         replace leaks in records and evidence by named placeholders, and count them
    python build.py --deploy         check all of it, say what would be published, ask, and publish (`make deploy`)
    python build.py --out DIR --ledgers DIR     other places

Two builds of one tree are byte-identical: dates come from records, never from the clock. No torch is loaded.
"""

from __future__ import annotations

import argparse
import gc
import getpass
import os
import platform
import shutil
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import replace
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import NoReturn

from lab import shares
from lab.errors import LabError
from lab.site import (
    book,
    check,
    clips,
    compiled,
    data,
    deploy,
    host,
    intake,
    interactive,
    leaks,
    packets,
    plan,
    publish,
    redact,
    render,
    search,
    tables,
    watch,
)

ROOT = Path(__file__).resolve().parent
TEMPLATES, SOURCE, CACHE = ROOT / "templates", ROOT / "site_src", ROOT / ".cache" / "site"
COMPILED = ROOT / ".cache" / "compiled"


def arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(description="Build the site from ledger and notebook.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if --out differs from the build")
    parser.add_argument("--out", type=Path, default=ROOT / "public", metavar="DIR", help="where the site goes")
    parser.add_argument("--ledgers", type=Path, default=ROOT / "ledgers", metavar="DIR", help="where the records are")
    parser.add_argument("--serve", action="store_true", help="show the built site on this machine afterwards")
    parser.add_argument("--watch", action="store_true", help="stay, and build again whenever a source changes")
    parser.add_argument("--redact", action="store_true", help="replace leaks in records and evidence by placeholders")
    parser.add_argument("--deploy", action="store_true", help="publish what --check finds identical, after a question")
    parser.add_argument(
        "--confirm", metavar="DIGITS", help="the answer to that question: digits of the bundle's digest"
    )
    parser.add_argument("--port", type=int, default=8000, help="port of --serve")
    parser.add_argument("--debug", action="store_true", help="a traceback instead of one line")
    asked = parser.parse_args()
    if asked.watch and (asked.check or asked.deploy or asked.redact):
        parser.error("--watch goes with --serve, --out and --ledgers only")
    return asked


def build(
    ledgers: Path,
    monitor: clips.Monitor,
    out: Path | None,
    redacted: bool = False,
    memory: watch.Memory | None = None,
) -> tuple[check.Checked, plan.Plan]:
    """The whole site, checked; in the place of `out` where there is one, else nothing was written but caches.

    Args:
        memory: what a builder that stays keeps; only what changed since its last build is made anew, in its place.
    """
    script = memory.shipped if memory and memory.shipped else interactive.script()
    compiled.load(COMPILED)
    guard = gate(intake.load_site(SOURCE / "site.toml"), script)
    redactor = redact.Redactor(gate=guard, folder=CACHE / "redacted") if redacted else None
    shelves = intake.load(SOURCE, ledgers, redactor, memory.records if memory else None)
    tabled = written(shelves, guard, stays=memory is not None)
    if memory:
        memory.shipped = script
    media = clips.prepare(shelves, CACHE, monitor)
    makers, pack = partial(render.figure_makers, TEMPLATES), partial(packets.zips, cache=CACHE / "packets")
    planned = plan.make(shelves, media, makers, script, pack, tabled=tabled, stage=memory.stage if memory else None)
    tree = render.render(planned, TEMPLATES)
    compiled.keep(COMPILED)
    with search.making(tree, CACHE) as index:
        if memory:
            return memory.publish(tree, guard, index), planned
        with publish.draft(out) if out else nullcontext() as place:
            return check.check(tree, guard, place, further=index), planned


def written(shelves: book.Book, guard: leaks.Gate, *, stays: bool) -> tables.Task:
    """The ledgers as texts and as Parquet, begun elsewhere: a process that goes takes with it what it made once."""
    texts: tables.Task = partial(tables.files, shelves)
    if stays:
        guard.ready()
        return tables.together(texts, shares.alongside(partial(parquets, shelves, replace(guard, memory=None))))
    texts = shares.beside(texts)
    guard.ready()  # here, so that the second process need not
    return tables.together(texts, shares.beside(partial(parquets, shelves, guard)))


def parquets(shelves: book.Book, guard: leaks.Gate) -> dict[str, data.Content]:
    """The ledgers as Parquet, looked at where they were made: the library that reads them, too, is loaded there."""
    made = tables.parquets(shelves)
    guard.scan(made)  # what is found is found again, and told, when all is checked
    return made


def gate(site: book.Site, shipped: Mapping[str, data.Content]) -> leaks.Gate:
    """The leak gate of this machine: it knows the names of machine and user, and what the author declared."""
    names: tuple[str, ...] = ()
    with suppress(KeyError, OSError):  # a user without a name
        names = (platform.node().partition(".")[0], getpass.getuser(), Path.home().name)
    return leaks.Gate(
        declared=(site.author, *site.declared),
        names=names,
        shipped={path: data.digest_of(content) for path, content in shipped.items()},
        memory=CACHE / "leaks",
    )


def report(checked: check.Checked, planned: plan.Plan, seconds: float) -> None:
    """Say in a few lines what was built, what waits and what was withheld."""
    n_runs = sum(len(shelf.entries) for shelf in planned.book.shelves)
    print(
        f"{checked.pages} pages of {n_runs} runs, {len(checked.files)} files, {checked.n_bytes / 1e6:.1f} MB,",
        end=" ",
    )
    print(f"{checked.links} links checked, {len(planned.book.withheld)} fields withheld, {seconds:.1f} s")
    for shelf in planned.book.shelves:
        if shelf.pageless:
            print(
                f"{shelf.pageless} of {len(shelf.entries)} runs of {shelf.contract.name} have no page of their own:",
                end=" ",
            )
            print(f"their records are in data/{shelf.contract.name}/ledger.json, {shelf.url} lists them")
    if not planned.book.site.url:
        print(f"no sitemap and no absolute links: {SOURCE.name}/site.toml declares no url")
    for where, count in redact.counts(planned.book.withheld).items():
        print(f"{count} redacted in {where}")
    for text in planned.waiting:
        print(f"waits for a run of {', '.join(text.waits_for)}: {text.document.where}")


def way_out(asked: argparse.Namespace) -> deploy.Way:
    """How a site leaves this machine."""
    local = ROOT / "node_modules" / ".bin" / "wrangler"
    return deploy.Way(
        root=ROOT,
        public=asked.out,
        ledgers=asked.ledgers,
        scratch=CACHE / "verdict",
        tool=os.environ.get("WRANGLER") or (str(local) if local.is_file() else shutil.which("wrangler")),
        environment=os.environ,
    )


def attempt(asked: argparse.Namespace, memory: watch.Memory | None = None) -> int:
    """One build; 0 done, 1 refused with one clear line and the old site untouched."""
    started = time.monotonic()
    try:
        commit = deploy.clean_commit(ROOT) if asked.deploy else ""
        looks = asked.check or asked.deploy
        again = memory is not None and bool(memory.former.files)
        checked, planned = build(
            asked.ledgers,
            lambda stage, done, total: print(f"{stage} {done}/{total}", flush=True),
            None if looks else asked.out,
            asked.redact,
            memory,
        )
        seconds = time.monotonic() - started
        if again:
            print(f"{len(checked.changed)} of {len(checked.files)} files changed, {seconds:.2f} s", flush=True)
            return 0
        report(checked, planned, seconds)
        if looks:
            odd = publish.differences(checked.files, asked.out)
            print(f"{asked.out.name} differs in {len(odd)} files: {', '.join(odd[:5])}" if odd else "identical")
            if odd or asked.check:
                return int(bool(odd))
            answer = (lambda _: asked.confirm) if asked.confirm else input
            return int(not way_out(asked).publish(checked.files, commit, answer, lambda line: print(line, flush=True)))
    except LabError as error:
        if asked.debug:
            raise
        print(f"not published: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if asked.debug:
            raise
        what = f"{Path(error.filename).name}: " if error.filename else ""
        print(f"not published: {what}{error.strerror or error}; the old site is untouched", file=sys.stderr)
        return 1
    return 0


def stay(asked: argparse.Namespace) -> int:
    """Build now and after every change, until the user ends it. What is refused is told, and the old site stands."""
    memory, ended = watch.Memory(publish.Twin(asked.out)), threading.Event()
    with ExitStack() as end:
        end.callback(memory.close)
        look, ahead = partial(watch.scan, asked.ledgers, SOURCE, TEMPLATES), partial(memory.look, asked.ledgers)
        for turn, _ in enumerate(watch.turns(look, ended.wait, ahead)):
            code = attempt(asked, memory)
            if turn == 0 and code:
                return code
            if turn == 0:
                for one in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(one, lambda *_: ended.set())  # an exception could come up where nobody hears it
                if asked.serve:
                    server = end.enter_context(show(asked))
                    threading.Thread(target=server.serve_forever, daemon=True).start()
                print("watching (stop with Ctrl+C); a change of the code needs a new start", flush=True)
            memory.rest()
    return 0


def show(asked: argparse.Namespace) -> ThreadingHTTPServer:
    """The server of the built site, not yet running; its address is told."""
    server = host.server(asked.out, asked.port)
    print(f"http://127.0.0.1:{server.server_port}/ (stop with Ctrl+C)", flush=True)
    return server


def main() -> int:
    """Build as asked for; 0 done, 1 refused."""
    asked = arguments()
    gc.disable()  # what a build makes it keeps to its end, so that looking for garbage only costs
    if asked.watch:
        return stay(asked)
    code = attempt(asked)
    if not code and asked.serve and not (asked.check or asked.deploy):
        with suppress(KeyboardInterrupt), show(asked) as server:
            server.serve_forever()
    return code


def run() -> NoReturn:
    """Build as asked for, and end at once: a book of ten thousand runs takes half a second to take apart."""
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    run()
