"""The publication: ledger and prose in, a static site out. No torch, no network, no clock.

    book      everything on the shelf: contracts, runs, evidence, prose          plan      which pages exist
    lineage   parents, deltas, main line and side branches                       charts    figures as SVG and table
    cite      numbers in prose, each with its run                                anatomy   where an archive's bytes go
    prose     Markdown, sanitized                                                clips     the stacked comparison video
    sanitize  the allowlist of public fields, inert text                         render    pages through templates
    data      ledger files for machines                                          packets   the packet beside the pages
    others    what others measured, never ranked                                 check     links, anchors, limits
    leaks     what must not be in a published tree                               publish   one swap of `public/`

Main types: `book.Book`, `book.Board`, `book.Entry`, `plan.Page`, `charts.Chart`. May import: the book of this
package, jinja2, markdown-it, nh3; video and arrays only in `clips`. Start reading in `build.py`, then `plan.py`.
"""
