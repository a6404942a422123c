"""Anatomy of archives that others made: what every byte is, and how strong the proof of it is.

`container` surveys the ZIP without unpacking anything; `streams` and `tables` recognise formats by decoding them to
their last byte; `recognise` tries them on a run of bytes and on what it decodes to; `anatomy` puts it together. A name
proves nothing, and bytes that nothing explains stay unexplained, with their entropy.
"""
