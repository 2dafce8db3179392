"""The plugin as napari uses it: manifest, widgets on real layers, sample; without a screen."""

from __future__ import annotations

import napari_sian
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels

import sian


@pytest.fixture
def mask():
    (data, _, _), *_ = napari_sian.sample_labels()
    return np.ascontiguousarray(data[:96, :128])


def test_the_manifest_names_what_is_there():
    from npe2 import PluginManifest

    manifest = PluginManifest.from_distribution("napari-sian")
    manifest.validate_imports()
    assert [widget.display_name for widget in manifest.contributions.widgets] == [
        "Paint labels as H&E",
        "Segment nuclei",
    ]


def test_painting_a_labels_layer(qtbot, mask):
    widget = napari_sian.paint_widget()
    qtbot.addWidget(widget.native)
    assert "kidney" in widget.style.choices
    viewer = ViewerModel()
    layer = viewer.add_labels(mask, name="drawn", scale=(0.25, 0.25))
    image, about, kind = widget(labels=layer, style="breast", seed=3)
    np.testing.assert_array_equal(image, sian.load().synthesize(mask, "breast", seed=3))
    assert (kind, about["name"], about["metadata"]["synthetic"]) == ("image", "drawn breast", True)
    painted = viewer.add_image(image, **about)
    assert painted.rgb
    assert tuple(painted.scale) == (0.25, 0.25)


def test_segmenting_an_image_layer(qtbot, mask):
    widget = napari_sian.segment_widget()
    qtbot.addWidget(widget.native)
    pixels = sian.load().synthesize(mask, "kidney")
    found, about, kind = widget(image=Image(pixels, rgb=True, name="tile"))
    np.testing.assert_array_equal(found, sian.segmentation.load().predict(pixels))
    assert (kind, about["name"]) == ("labels", "tile nuclei")
    assert ViewerModel().add_labels(found, **about).data.shape == mask.shape


def test_what_is_no_plane_is_one_sentence(qtbot):
    widget = napari_sian.paint_widget()
    qtbot.addWidget(widget.native)
    with pytest.raises(ValueError, match="expected a 2-d Labels layer, found 3 dimensions"):
        widget(labels=Labels(np.zeros((2, 8, 8), int)), style="kidney")
    segment = napari_sian.segment_widget()
    qtbot.addWidget(segment.native)
    with pytest.raises(ValueError, match="expected an RGB image in 8 bits"):
        segment(image=Image(np.zeros((8, 8))))
