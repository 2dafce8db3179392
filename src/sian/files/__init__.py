"""Files: pictures, whole files written atomically, hashes. Knows nothing of nuclei."""

from sian.files.atomic import atomic_file, remove_leftovers, write_bytes, write_json, write_text
from sian.files.hashing import sha256_array, sha256_file, sha256_pixels
from sian.files.images import MAX_PIXELS, encode_png, read_image, read_png_text, write_png

__all__ = [
    "MAX_PIXELS",
    "atomic_file",
    "encode_png",
    "read_image",
    "read_png_text",
    "remove_leftovers",
    "sha256_array",
    "sha256_file",
    "sha256_pixels",
    "write_bytes",
    "write_json",
    "write_png",
    "write_text",
]
