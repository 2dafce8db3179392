"""What the segmenters learn, how windows of it are cut, and how maps become instances: by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from sian.segmentation.instances import deciding_maps, segnet_instances, unet_instances, watershed
from sian.segmentation.jitter import jitter
from sian.segmentation.objectives import TERMS, Targets
from sian.segmentation.segmenter_recipe import AugmentSection, InstanceSection, LossSection
from sian.segmentation.targets import IGNORED, class_weights, pixel_classes


def disk(shape, y, x, radius):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def touching_disks():
    mask = np.zeros((40, 60), np.int32)
    mask[disk(mask.shape, 20, 20, 11)] = 1
    mask[disk(mask.shape, 20, 40, 11) & (mask == 0)] = 2
    return mask


def test_classes_of_a_square_by_hand():
    mask = np.zeros((9, 9), np.int32)
    mask[1:8, 1:8] = 7
    expected = np.zeros((9, 9), np.uint8)
    expected[1:8, 1:8] = 2
    expected[3:6, 3:6] = 1
    np.testing.assert_array_equal(pixel_classes(mask, 2), expected)


def test_border_parts_nuclei_that_touch_and_ends_at_the_image():
    mask = np.array([[5, 5, 5, 5, 9, 9, 9, 9]] * 3)
    assert pixel_classes(mask, 2).tolist() == [[1, 1, 2, 2, 2, 2, 1, 1]] * 3


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_border_is_the_distance_to_the_next_other_label(depth):
    mask = touching_disks()
    expected = np.zeros(mask.shape, bool)
    for nucleus in (1, 2):
        inside = mask == nucleus
        expected |= inside & (ndimage.distance_transform_edt(inside) <= depth)
    np.testing.assert_array_equal(pixel_classes(mask, depth) == 2, expected)


def test_weights_of_classes():
    classes = np.repeat(np.array([0, 1, 2], np.uint8), [64, 16, 4])
    np.testing.assert_allclose(class_weights([classes], 1.0), [0.25, 1, 4])
    np.testing.assert_allclose(class_weights([classes], 0.5), [0.5, 1, 2])
    np.testing.assert_allclose(class_weights([np.zeros(5, np.uint8)], 1.0), [1, 1, 1])


def logits_of(mask, depth=2):
    return np.moveaxis(np.eye(3, dtype=np.float32)[pixel_classes(mask, depth)], -1, 0) * 8


def test_two_touching_disks_are_two_nuclei():
    mask = touching_disks()
    found = segnet_instances(logits_of(mask), InstanceSection()).labels
    assert len(np.unique(found)) == 3  # the background and two; numbers have gaps
    np.testing.assert_array_equal(found > 0, mask > 0)
    for nucleus in (1, 2):
        ids, counts = np.unique(found[mask == nucleus], return_counts=True)
        assert counts.max() / counts.sum() > 0.95, ids


def test_the_layout_gives_the_same_two_nuclei():
    from sian.layout import describe

    mask = touching_disks()
    layout = describe(mask)
    output = np.zeros((19, *mask.shape), np.float32)
    output[0] = np.where(layout.semantic, 8, -8)
    output[1:18] = np.moveaxis(np.eye(17, dtype=np.float32)[layout.direction], -1, 0) * 8
    output[18] = layout.distance
    found = unet_instances(deciding_maps("unet", output), InstanceSection()).labels
    assert len(np.unique(found)) == 3
    assert (found[mask == 1] == found[20, 20]).mean() > 0.95
    assert (found[mask == 2] == found[20, 40]).mean() > 0.95


def test_holes_are_filled_small_things_go_and_ids_have_no_gaps():
    foreground = np.zeros((40, 40), bool)
    foreground[2:12, 2:12] = True
    foreground[6, 6] = False  # a hole
    foreground[20:22, 20:22] = True  # too small
    foreground[30:38, 30:38] = True
    markers = np.zeros_like(foreground)
    markers[32:36, 32:36] = True  # the first square has none, and stays
    found = watershed(foreground, markers, np.zeros((40, 40), np.float32), 30)
    assert sorted(np.unique(found)) == [0, 1, 2]
    assert found[6, 6] == found[2, 2] > 0
    assert not found[20:22, 20:22].any()


@pytest.mark.parametrize("value", [False, True])
def test_nothing_and_everything(value):
    maps = np.full((20, 30), value)
    found = watershed(maps, maps, np.zeros((20, 30), np.float32), 10)
    assert found.dtype == np.int32
    assert (found == int(value)).all()


def test_jitter_is_a_function_of_its_generator_and_off_at_zero():
    images = torch.rand((3, 3, 32, 32), generator=torch.Generator().manual_seed(1))
    strong = AugmentSection(stain=0.3, light=0.2, blur=1.5, noise=0.05)
    first, second, third = (jitter(images, strong, torch.Generator().manual_seed(k)) for k in (5, 5, 6))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)
    assert 0 <= float(first.min()) <= float(first.max()) <= 1
    assert float((first - images).abs().mean()) > 0.01
    assert torch.equal(jitter(images, AugmentSection(), torch.Generator()), images)


def test_stain_jitter_leaves_white_white():
    white = torch.ones((4, 3, 16, 16))
    settings = AugmentSection(stain=0.5)
    changed = jitter(white, settings, torch.Generator().manual_seed(0))
    assert float((changed - white).abs().max()) < 0.12  # only the shift of the stains shows


def test_blur_matches_scipy():
    from sian.segmentation.jitter import _blur

    image = torch.rand((2, 3, 24, 24), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    sigma = torch.tensor([1.0, 0.0], dtype=torch.float64)
    ours = _blur(image, sigma).numpy()
    reference = ndimage.gaussian_filter(image[0].numpy(), (0, 1, 1), mode="mirror", truncate=4)
    np.testing.assert_allclose(ours[0], reference, atol=1e-6)
    np.testing.assert_allclose(ours[1], image[1].numpy(), atol=1e-6)


def test_ignored_pixels_teach_nothing():
    random = torch.Generator().manual_seed(0)
    classes = torch.randint(0, 3, (2, 8, 8), generator=random)
    direction, distance = torch.randint(0, 17, (2, 8, 8), generator=random), torch.rand((2, 8, 8), generator=random)
    weights = torch.tensor([0.5, 1.0, 2.0])
    part = classes.clone()
    part[:, 3:] = IGNORED
    settings = LossSection()
    for kind, channels in (("segnet", 3), ("unet", 19)):
        output = torch.randn((2, channels, 8, 8), generator=random, requires_grad=True)
        seen = TERMS[kind](output, Targets(part, direction, distance, weights), settings)
        cut = Targets(classes[:, :3], direction[:, :3], distance[:, :3], weights)
        expected = TERMS[kind](output[:, :, :3], cut, settings)
        for name, term in expected.items():
            torch.testing.assert_close(seen[name], term)
        (gradient,) = torch.autograd.grad(torch.stack(list(seen.values())).sum(), output)
        assert not gradient[:, :, 3:].any()
        assert gradient[:, :, :3].abs().min() > 0


def test_a_batch_of_which_all_is_ignored_has_a_loss():
    nothing = torch.full((1, 4, 4), IGNORED)
    targets = Targets(nothing, torch.zeros_like(nothing), torch.zeros(1, 4, 4), torch.ones(3))
    for kind, channels in (("segnet", 3), ("unet", 19)):
        terms = TERMS[kind](torch.zeros(1, channels, 4, 4), targets, LossSection())
        assert all(torch.isfinite(term) for term in terms.values())


def test_ignored_pixels_do_not_count_as_a_class():
    assert class_weights([np.array([[0, 0, 1, 2, IGNORED, IGNORED]])], 1.0).tolist() == [0.5, 1.0, 1.0]
