"""The frozen networks and what they say: the measuring side of the bench.

`networks` loads them, `preprocess` feeds them (differentiably), `measure` compares their answers on source and decode.
`official` is what is particular to the contest: decoder and device of an axis, and what this machine may claim;
`official_networks` builds its networks, `folding` makes them do less for the same answer, `fetch` brings their files.
Start reading in `measure`.

What the contest's own loop lets through, and what refuses it here:

    a short decode ends the evaluation early, on fewer samples   `RawSizeMismatch`, `SampleCountMismatch` of the source
    a partial frame at the end is dropped                        `RawSizeMismatch`, with the frames that were found
    any file beside the video enlarges the rate's denominator    the contract's own size; a report that divides by
                                                                 another contradicts its record, which then never ranks
    the conversion to planes has no gradient                     `preprocess`, value for value and differentiable
"""
