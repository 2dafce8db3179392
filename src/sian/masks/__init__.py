"""Instance masks: (H, W) int32, 0 background, 1..n one id a nucleus. Knows no organs, styles or networks."""

from sian.masks.checking import check_mask, check_mask_of, nucleus_ids
from sian.masks.counting import median_area, nucleus_areas, nucleus_pieces
from sian.masks.files import decode_mask_png, encode_mask_png, read_mask, write_mask

__all__ = [
    "check_mask",
    "check_mask_of",
    "decode_mask_png",
    "encode_mask_png",
    "median_area",
    "nucleus_areas",
    "nucleus_ids",
    "nucleus_pieces",
    "read_mask",
    "write_mask",
]
