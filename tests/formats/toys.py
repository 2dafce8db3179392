"""A data set whose masks are difficult, shared by the tests of exports."""

import numpy as np
import pytest

from sian.data import Dataset, DatasetInfo, DatasetWriter, open_dataset
from tiles import picture

MODEL = "f" * 64
HOLDS_CLASSES = [
    *("hovernet", "hovernet-npy", "pannuke", "coco", "qupath", "qupath-gz", "ome-zarr", "ome-tiff", "webdataset")
]
of_pycocotools = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def difficult_mask() -> np.ndarray:
    """A hole, two pieces, pieces that touch at a corner, touching nuclei, ids with gaps above 255."""
    ids = np.zeros((40, 48), np.int32)
    ids[2:10, 2:10] = 1
    ids[5:7, 5:7] = 0
    ids[20:30, 5:12] = 2
    ids[20:30, 12:20] = 7
    ids[35:38, 40:44] = 300
    ids[30:32, 44:48] = 300
    ids[12, 12] = ids[13, 13] = 60_000
    ids[0, 47] = 9
    return ids


def make_dataset(folder, *, synthetic=True, extra_id=None) -> Dataset:
    info = DatasetInfo(
        name="toy", mpp=0.25, licence="CC0", source="made up", synthetic=synthetic, classes=["neoplastic", "dead"]
    )
    writer = DatasetWriter(folder, info)
    mask = difficult_mask()
    classes = {"dead": [2, 300], "neoplastic": [1, 7, 9, 60_000]}
    if extra_id:
        mask[38:40, 0:3] = extra_id
        classes["dead"].append(extra_id)
    made = {"model": MODEL, "style": {"kidney": 0.5, "colon": 0.5}, "seed": 3, "plan": 7}
    writer.add("one", picture(1), mask, organ="kidney", mpp=0.25, classes=classes, patient="p1", **made)
    writer.add("two", picture(2), np.zeros((40, 48), int), split="test", organ="colon", preparation="frozen")
    writer.add("three", picture(3), np.flipud(difficult_mask()), overlaps=2, lost_pixels=9, classes=classes_of_all())
    return open_dataset(folder)


def classes_of_all():
    return {"inflammatory": [1, 2, 7, 9, 300, 60_000]}


def assert_same(found: Dataset, expected: Dataset, *, classes=True):
    assert {item.id for item in found} == {item.id for item in expected}
    for item in expected:
        other = found[item.id]
        np.testing.assert_array_equal(found.image(other), expected.image(item))
        np.testing.assert_array_equal(found.mask(other), expected.mask(item))
        if classes:
            assert other.class_by_id == item.class_by_id
