"""Search: what to run next, and what not to run at all.

    anchors   measured runs of one lane, the only ground that predictions stand on
    predict   from relative error and bytes to a band of scores, or a refusal by name
    proxy     power laws of each distortion over the anchors, with their own limits
    rank      candidates in order of a Lagrangian; what was refused comes last
    gates     five checks between a rank and the machine time it asks for
    generate  recipes one step away from one that was measured
    probe     a cheap look at a candidate: its first pairs coded and compared, no network asked
    dispatch  runs on any executor, under caps that are checked before the first one starts
    harvest   from a recorded run to an anchor, only where everything closes
    loop      all of it in a circle, with every prediction written down beside its outcome

A prediction is never evidence: it decides what is measured next, and its grade is `prediction`.
"""
