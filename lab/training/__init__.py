"""The training room: how every learned family is trained against the frozen networks.

`schedule` says what a stage is, `objective` and `losses` what is minimized, `quantize` how weights become bytes,
`optim` and `average` how weights move, `trainer` runs the stages and picks the best by decoded score, `checkpoints`
survive a kill at any point, `profiles` carry published recipes with their sources, `sensitivity` shows where the
networks look. Start reading in `trainer`.
"""
