"""The formats that data sets are exported to and imported from: one file each, and one line in the table below."""

from sian.data.formats import (
    cellpose,
    coco,
    hovernet,
    hovernet_json,
    hovernet_npy,
    ometiff,
    omezarr,
    pannuke,
    qupath,
    stardist,
    webdataset,
)
from sian.data.formats.format import Format, Sample

FORMATS: dict[str, Format] = {
    known.name: known
    for known in (
        hovernet.FORMAT,
        hovernet_npy.FORMAT,
        pannuke.FORMAT,
        coco.FORMAT,
        qupath.FORMAT,
        qupath.PACKED,
        stardist.FORMAT,
        cellpose.FORMAT,
        omezarr.FORMAT,
        ometiff.FORMAT,
        webdataset.FORMAT,
    )
}

OTHERS = {".json": hovernet_json.read}  # formats that are read only
# Annotations that lie beside their image, in any of the folders that `sian.data.sources` knows, by their ending.
ANNOTATION_READERS = OTHERS | {end: read for known in FORMATS.values() for end, read in known.annotations.items()}

__all__ = ["ANNOTATION_READERS", "FORMATS", "Format", "Sample"]
