"""PQ, AJI, Dice and F1 against MONAI, torchmetrics, brute force and cases done by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sian.errors import BadInput
from sian.evaluation import (
    AjiMetric,
    DiceMetric,
    F1Metric,
    PanopticMetric,
    aji,
    dice,
    f1,
    panoptic,
)
from sian.evaluation import overlaps as overlaps_module
from sian.evaluation.aji import aji_parts
from sian.evaluation.dice import dice_parts
from sian.evaluation.overlaps import overlaps

METRICS = [panoptic, aji, dice, f1]

masks = hnp.arrays(np.int32, (9, 9), elements=st.integers(0, 4))
pairs = st.tuples(masks, masks)


def nuclei(seed: int, size: int = 200, n: int = 60, jitter: int = 0) -> np.ndarray:
    """Discs at places that depend on the seed, moved a little by `jitter`."""
    rng, shaken = np.random.default_rng(seed), np.random.default_rng(seed + 1 + jitter)
    mask = np.zeros((size, size), np.int32)
    ys, xs = np.mgrid[:size, :size]
    for i in range(1, n + 1):
        cy, cx, radius = rng.integers(0, size), rng.integers(0, size), rng.integers(4, 9)
        cy, cx = (cy, cx) + (shaken.integers(-jitter, jitter + 1, 2) if jitter else np.zeros(2, int))
        if jitter and shaken.random() < 0.15:
            continue
        mask[((ys - cy) ** 2 + (xs - cx) ** 2 <= radius**2) & (mask == 0)] = i * 3 + 7  # ids with gaps
    return mask


def brute_panoptic(true: np.ndarray, pred: np.ndarray) -> tuple[float, float, float]:
    """Every pair of binary masks compared, as the definition reads."""
    trues = [true == i for i in np.unique(true) if i]
    preds = [pred == i for i in np.unique(pred) if i]
    ious = [(t & p).sum() / (t | p).sum() for t in trues for p in preds]
    matched = [iou for iou in ious if iou > 0.5]
    dq = 2 * len(matched) / (len(trues) + len(preds))
    sq = float(np.mean(matched)) if matched else 0.0
    return dq, sq, dq * sq


def brute_aji(true: np.ndarray, pred: np.ndarray) -> float:
    """Kumar's loop: each true nucleus takes its best partner; what nobody took is added below."""
    intersection = union = 0
    left = {i: pred == i for i in np.unique(pred) if i}
    candidates = dict(left)
    for i in np.unique(true):
        if not i:
            continue
        nucleus = true == i
        best, best_iou = None, 0.0
        for j, other in candidates.items():
            iou = (nucleus & other).sum() / (nucleus | other).sum()
            if iou > best_iou:
                best, best_iou = j, iou
        if best is None:
            union += nucleus.sum()
        else:
            intersection += (nucleus & candidates[best]).sum()
            union += (nucleus | candidates[best]).sum()
            left.pop(best, None)
    return intersection / (union + sum(other.sum() for other in left.values()))


@pytest.fixture(params=[0, 1, 2])
def pair(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    return nuclei(request.param), nuclei(request.param, jitter=3)


def test_panoptic_equals_monai(pair: tuple[np.ndarray, np.ndarray]) -> None:
    from monai.metrics.panoptic_quality import compute_panoptic_quality
    from skimage.segmentation import relabel_sequential

    true, pred = (torch.from_numpy(relabel_sequential(m)[0].astype(np.int64)) for m in pair)
    score = panoptic(*pair)
    for ours, name in ((score.dq, "rq"), (score.sq, "sq"), (score.pq, "pq")):
        theirs = compute_panoptic_quality(pred, true, metric_name=name, match_iou_threshold=0.5)
        assert ours == pytest.approx(float(theirs), abs=1e-5)


def test_panoptic_equals_torchmetrics(pair: tuple[np.ndarray, np.ndarray]) -> None:
    from torchmetrics.functional.detection import panoptic_quality

    def coloured(mask: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.stack([mask > 0, mask], axis=-1).astype(np.int64))[None]

    theirs = panoptic_quality(
        coloured(pair[1]),
        coloured(pair[0]),
        things={1},
        stuffs={0},
        return_sq_and_rq=True,
        return_per_class=True,
    )
    pq, sq, rq = theirs[0].tolist()  # things come first
    score = panoptic(*pair)
    assert (score.pq, score.sq, score.dq) == pytest.approx((pq, sq, rq), abs=1e-6)


def test_panoptic_and_aji_equal_brute_force(pair: tuple[np.ndarray, np.ndarray]) -> None:
    score = panoptic(*pair)
    assert (score.dq, score.sq, score.pq) == pytest.approx(brute_panoptic(*pair))
    assert aji(*pair) == pytest.approx(brute_aji(*pair))


@given(pairs)
def test_small_masks_equal_brute_force(pair: tuple[np.ndarray, np.ndarray]) -> None:
    if not (pair[0].any() or pair[1].any()):
        return
    score = panoptic(*pair)
    assert (score.dq, score.sq, score.pq) == pytest.approx(brute_panoptic(*pair))
    assert aji(*pair) == pytest.approx(brute_aji(*pair))


def test_a_match_needs_more_than_half() -> None:
    # two pixels of four shared: IoU exactly 1/2 is no match
    half = panoptic(np.array([[1, 1, 1, 1]]), np.array([[1, 1, 0, 0]]))
    assert (half.tp, half.fp, half.fn) == (0, 1, 1)
    assert half.pq == half.sq == half.dq == 0


def test_case_by_hand() -> None:
    # true nuclei of 4, 3 and 1 pixels; predicted ones hit the first with IoU 3/5, the second exactly, and
    # miss the third
    true = np.array([[9, 9, 9, 9, 0, 0, 4, 4, 4, 0, 2]])
    pred = np.array([[0, 5, 5, 5, 5, 0, 8, 8, 8, 1, 0]])
    score = panoptic(true, pred)
    assert (score.tp, score.fp, score.fn) == (2, 1, 1)
    assert score.dq == pytest.approx(4 / 6)
    assert score.sq == pytest.approx((3 / 5 + 1) / 2)
    assert aji(true, pred) == pytest.approx((3 + 3) / (5 + 3 + 1 + 1))
    assert dice(true, pred) == pytest.approx(2 * 6 / (8 + 8))
    assert f1(true, pred) == score.dq
    assert f1(true, pred, iou=0.7) == pytest.approx(2 / 6)


@given(pairs, st.permutations([11, 3, 900, 65_536]), st.permutations([5, 2, 1, 70_000]))
def test_ids_are_only_names(pair: tuple[np.ndarray, np.ndarray], first: list[int], second: list[int]) -> None:
    renamed = [np.array([0, *ids])[mask] for mask, ids in zip(pair, (first, second), strict=True)]
    for metric in (panoptic, dice, f1):
        np.testing.assert_allclose(_numbers(metric(*renamed)), _numbers(metric(*pair)), equal_nan=True)


@given(pairs)
def test_aji_knows_only_the_order_of_ids(pair: tuple[np.ndarray, np.ndarray]) -> None:
    # of two predictions with the same IoU the one with the lower id is taken, as in the authors' loop
    renamed = [np.array([0, 3, 11, 900, 65_536])[mask] for mask in pair]
    np.testing.assert_equal(aji(*renamed), aji(*pair))


@given(pairs)
def test_swapping_sides_and_bounds(pair: tuple[np.ndarray, np.ndarray]) -> None:
    if not (pair[0].any() or pair[1].any()):
        return
    score, swapped = panoptic(*pair), panoptic(*pair[::-1])
    assert score.pq == pytest.approx(score.dq * score.sq) == pytest.approx(swapped.pq)
    assert (score.fp, score.fn) == (swapped.fn, swapped.fp)
    for value in (score.dq, score.sq, score.pq, aji(*pair), dice(*pair)):
        assert 0 <= value <= 1
    assert aji(*pair) <= dice(*pair) + 1e-12


@given(masks)
def test_a_mask_agrees_with_itself(mask: np.ndarray) -> None:
    if mask.any():
        assert panoptic(mask, mask).pq == aji(mask, mask) == dice(mask, mask) == f1(mask, mask) == 1


@settings(max_examples=20)
@given(pairs)
def test_ids_too_large_for_one_key_sort_alike(pair: tuple[np.ndarray, np.ndarray]) -> None:
    plain = overlaps(*pair)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlaps_module, "LARGEST_KEY", 0)
        huge = overlaps(*pair)
    for name in ("true_ids", "pred_ids", "true_areas", "pred_areas", "true_index", "pred_index", "shared"):
        np.testing.assert_array_equal(getattr(huge, name), getattr(plain, name))


def test_parts_of_the_table_equal_the_functions(pair: tuple[np.ndarray, np.ndarray]) -> None:
    table = overlaps(*pair)
    shared, unions = aji_parts(table)
    assert shared / unions == aji(*pair)
    both, total = dice_parts(table)
    assert 2 * both / total == dice(*pair)


@pytest.mark.parametrize("metric", METRICS)
def test_both_empty_is_no_score(metric) -> None:
    empty = np.zeros((4, 4), np.int32)
    assert np.isnan(_numbers(metric(empty, empty))[0])
    one_sided = empty.copy()
    one_sided[1, 1] = 1
    assert _numbers(metric(empty, one_sided))[0] == _numbers(metric(one_sided, empty))[0] == 0


def test_metrics_leave_empty_images_out_and_count_them() -> None:
    empty = np.zeros((4, 4), np.int32)
    right = np.array([[1, 1, 1, 2]])
    wrong = np.array([[1, 1, 0, 0]])
    metric = PanopticMetric().update(empty, empty).update(right, right).update(right, wrong)
    summary = metric.compute()
    assert (summary.images, summary.empty) == (2, 1)
    one = panoptic(right, wrong)
    assert summary.pq == pytest.approx((1 + one.pq) / 2)
    assert (summary.pooled.tp, summary.pooled.fp, summary.pooled.fn) == (3, 0, 1)
    assert summary.pooled.sq == pytest.approx((1 + 1 + 2 / 3) / 3)
    for accumulated, function in ((AjiMetric(), aji), (DiceMetric(), dice), (F1Metric(), f1)):
        mean = accumulated.update(empty, empty).update(right, right).update(right, wrong).compute()
        assert (mean.images, mean.empty) == (2, 1)
        assert mean.value == pytest.approx((1 + function(right, wrong)) / 2)
    pooled = AjiMetric().update(right, right).update(right, wrong).compute().pooled
    assert pooled == pytest.approx((4 + 2) / (4 + 4))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int64, np.uint64])
def test_every_integer_dtype(dtype: type) -> None:
    true, pred = nuclei(0, n=12), nuclei(0, n=12, jitter=3)
    for metric in METRICS:
        assert _numbers(metric(true.astype(dtype), pred.astype(dtype))) == _numbers(metric(true, pred))


def test_an_id_beyond_counting() -> None:
    with pytest.raises(BadInput, match="renumber"):
        aji(np.full((2, 2), 2**63, np.uint64), np.zeros((2, 2), int))


def test_nothing_accumulated_is_nan() -> None:
    assert np.isnan(PanopticMetric().compute().pq)
    assert np.isnan(AjiMetric().compute().pooled)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("pred", "words"),
    [
        (np.zeros((3, 4), np.int32), "3 x 4 pixels, expected 4 x 4"),
        (np.zeros((4, 4), np.float32), "integer ids, found float32"),
        (np.zeros((4, 4), bool), "integer ids, found bool"),
        (np.zeros((4, 4, 3), np.uint8), r"found shape \(4, 4, 3\)"),
        (np.full((4, 4), -1), "negative id -1"),
    ],
)
def test_bad_masks(metric, pred: np.ndarray, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        metric(np.zeros((4, 4), np.int32), pred)


def test_a_threshold_below_one_half_is_refused() -> None:
    with pytest.raises(BadInput, match=r"0\.3"):
        panoptic(np.eye(3, dtype=np.int32), np.eye(3, dtype=np.int32), iou=0.3)


def _numbers(value: object) -> list[float]:
    return [value.dq, value.sq, value.pq] if hasattr(value, "dq") else [float(value)]
