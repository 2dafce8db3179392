"""Slides and other pictures that are too large to be read whole: levels, regions, pixel size, tissue.

`open_slide` takes what OpenSlide reads (SVS, NDPI, MRXS, SCN, ...), tiled and pyramidal TIFF, OME-TIFF and OME-Zarr,
and any ordinary picture as a slide of one level.
"""

from sian.slides.slide import Picture, Slide, open_slide, read_picture

__all__ = ["Picture", "Slide", "open_slide", "read_picture"]
