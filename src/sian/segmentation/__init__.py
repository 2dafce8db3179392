"""Segmentation of nuclei: the judge of synthetic images (SegNet, as in the paper) and a modern U-Net.

::

    segmenter_recipe.py   what decides a run
    targets.py            instance mask -> background, interior, border
    training_windows.py   training windows with their targets, of one data set or several
    mixing.py             which windows are synthetic
    traditional.py        the paper's augmentation: rotations, flips, median blur
    pasting.py            copy-paste of nuclei between tiles
    jitter.py             jitter of stain, light and sharpness
    objectives.py         what each network minimises
    training.py           the loop
    tiling.py             whole images by overlapping windows, without seams
    instances.py          maps -> instances, by watershed
    segmenter.py          the model file; Segmenter
    segmenter_export.py   from a run to its model file
"""

from sian.segmentation.segmenter import Segmenter, load, save, untrained
from sian.segmentation.segmenter_recipe import SegmenterRecipe

__all__ = ["Segmenter", "SegmenterRecipe", "load", "save", "untrained"]
