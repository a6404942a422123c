"""Search: what to run next, and what not to run at all.

    anchors   measured runs of one lane, the only ground that predictions stand on
    predict   from relative error and bytes to a band of scores, or a refusal by name
    proxy     power laws of each distortion over the anchors, with their own limits
    rank      candidates in order of a Lagrangian; what was refused comes last
    gates     five checks between a rank and the machine time it asks for
    generate  recipes one or two steps away from one that was measured, and repacks of a run
    subset    the first pairs under a recipe, coded, decoded and measured
    probe     a cheap look at a candidate: that, after a few training steps where its family trains
    prospects every candidate of a search with what is known of it, ranked and gated
    dispatch  runs on any executor, under caps that are checked before the first one starts
    harvest   from a recorded run to an anchor, only where everything closes
    loop      all of it in a circle, with every prediction written down beside its outcome

A prediction is never evidence: it decides what is measured next, and its grade is `prediction`.
"""
