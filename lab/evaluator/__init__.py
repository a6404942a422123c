"""The frozen networks and what they say: the measuring side of the bench.

`networks` loads them, `preprocess` feeds them (differentiably), `measure` compares their answers on source and decode,
`report` writes and reads report.txt. Start reading in `measure`.
"""
