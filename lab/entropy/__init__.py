"""The entropy room: integers in, the fewest bytes out, and the same integers back on every machine.

Three independent axes; swapping one changes one word of a `streams.Stream`:

    transforms   what is sent: Zigzag, Delta, Offset, Transpose, Planes, Predict (per column)        `transforms`
    models       how likely it is: Static, Adaptive (order 0 to 3), GolombRice                       `models`
                 Laplace, Gaussian, Student, with a coded scale for all or per row                   `shapemodels`
                 ContextTree, sparse context-tree weighting                                          `treemodels`
                 Mixing, logistic mixing of contexts                                                 `contextmodels`
                 FieldMixing, the same for fields on a grid, one after another along time           `fieldmodel`
    coders       how that becomes bytes: Coder.RANGE, Coder.ANS                                      `coders`

A model turns symbols into shares of 2^16 by integer arithmetic alone: its tables come from exact operations
(`logistic`, `mixing`), and no libm is called in a decoder. Kernels are compiled by numba through one door (`jit`); with
NUMBA_DISABLE_JIT=1 the same lines run as plain Python and make the same bytes.

On top of the axes stand payloads with a checksum inside, limits that are checked before memory is taken, sections that
tile them, and an entropy bound beside the real size (`bounds`):

    columns        a table whose columns are each predicted and modelled in their own way
    posestream     poses, in half precision or on int8 grids: such a table, or the columns below
    posecolumns    the same with two bytes of side information a dimension
    sideinfo       selectors and latents: such tables
    weightstream   weights, int8 and four-bit codes; families reach it by `codecs.weights` and `implicit.packing`
    weightstate    weights that stand alone, with names, shapes and steps
    labelmap       class maps; `mapwriter` encodes them
    lossless       the `.tac` container for any file, over the methods of `blocks`: `lab lossless`

A damaged payload ends in a `BitstreamError`; what a model cannot hold, in an `EntropyError` of the encoder.
"""
