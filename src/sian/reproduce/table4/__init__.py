"""Table 4 of the paper: does training on synthetic images as well make a segmenter better (section 4.5)?

::

    segmenter_rows.py   what each row learns from, at each scale; the paper's numbers
    synthetic.py        the synthetic data set: made by a plan, or the user's own
    segmenter_runs.py   one training = one folder: train, test, write down; what is done is skipped
    intervals.py        bootstrap over test tiles and seeds
    findings.py         what the numbers say, in sentences
    results.py          the table

The paper has four rows. Beside them stand the controls that show whether a gain is the synthetic images' own: as many
optimiser steps without them, stain augmentation, copy-paste of nuclei; fewer real tiles; and a stronger network.
"""
