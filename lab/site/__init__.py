"""The publication: ledger and prose in, a static site out. No torch, no network, no clock.

    book, intake    contracts, runs, evidence: the types, and reading them    anatomy  where an archive's bytes go
    lineage         parents, deltas, lines of descent, neighbours             clips    the stacked comparison video
    cite, prose     numbers that know their run; Markdown, sanitized          others   what others measured
    plan, pages, runs  which pages exist, and what each prints                packets  the packet beside the pages
    figures, details, captions, charts, svg   figures as SVG and table        data     ledger files for machines
    sanitize        the allowlist of public fields, inert text                render   pages through templates
    check, leaks    links, anchors, limits; nothing private                   publish  one swap of `public/`
    watch, former, kept   building again: what changed since                  glance, parcel   reading many records
    host            headers, redirects, a preview                             format   how numbers are printed

Main types: `book.Book`, `book.Board`, `book.Entry`, `sheets.Page`, `plan.Plan`, `charts.Chart`. May import: the book of
this package, jinja2, markdown-it, nh3; video and arrays only in `clips`. Start reading in `build.py`, then `plan.py`.
"""
