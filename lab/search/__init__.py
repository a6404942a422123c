"""Search: what to run next, and what not to run at all.

    anchors   measured runs of one lane, the only ground that predictions stand on
    predict   from relative error and bytes to a band of scores, or a refusal by name
    proxy     power laws of each distortion over the anchors, with their own limits
    rank      candidates in order of a Lagrangian; what was refused comes last
    gates     five checks between a rank and the machine time it asks for
    negative  lanes and configurations that are dead, what killed them, and what would revive them

A prediction is never evidence: it decides what is measured next, and its grade is `prediction`.
"""
