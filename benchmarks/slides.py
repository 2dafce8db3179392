"""Slides in constant memory: time a pixel and peak memory of painting and segmenting, against a tile of 1000 px.

    python benchmarks/slides.py --paint 2048 4096         # the bundled model, one thread
    python benchmarks/slides.py --middle 8192 16384       # the same walk, and the super-tile in the middle is painted
    python benchmarks/slides.py --walk 32768              # the walk alone, with super-tiles of one colour
    python benchmarks/slides.py --outlines 8192           # the same walk, of the mask as GeoJSON
    python benchmarks/slides.py --segment 2048 4096
    python benchmarks/slides.py --paint 8192 --workers 1 2          # by processes, wall time; with --ray by Ray

Each size runs in a process of its own, whose peak is the kernel's (ru_maxrss). Masks are one invented scene of 1024 px,
repeated with other ids, in a tiled TIFF.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

import numpy as np

SCENE = 1024


def write_mask(path: Path, side: int) -> int:
    """A mask of side x side px; how many nuclei it has."""
    import tifffile

    from sian.nuclei import scatter

    scene = scatter(SCENE, SCENE, 0)
    scene[:, -1] = scene[-1] = 0  # so that nuclei of neighbouring scenes don't touch
    count, across = int(scene.max()), -(-side // SCENE)

    def tiles():
        for place in range(across * across):
            yield np.where(scene > 0, scene + count * place, 0).astype(np.uint32)

    tifffile.imwrite(
        path, tiles(), shape=(side, side), dtype=np.uint32, tile=(SCENE, SCENE), compression="zlib", metadata=None
    )
    return count * across * across


def write_outlines(path: Path, side: int) -> int:
    """The nuclei of `write_mask` as GeoJSON, as `sian segment predict` writes them; how many."""
    from sian.data.formats.qupath import geometry
    from sian.masks.contours import trace_nuclei
    from sian.nuclei import scatter

    scene = scatter(SCENE, SCENE, 0)
    scene[:, -1] = scene[-1] = 0
    traced = [[np.array(ring) for polygon in polygons for ring in polygon] for _, polygons in trace_nuclei(scene)]
    across, count = side // SCENE, 0
    with path.open("w") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        for place in range(across * across):
            corner = np.array((place % across * SCENE, place // across * SCENE))
            for rings in traced:
                shape = geometry([[list(map(tuple, (ring + corner).tolist())) for ring in rings]])
                properties = {"objectType": "detection", "name": str(count + 1)}
                feature = {"type": "Feature", "geometry": shape, "properties": properties}
                file.write(f"{',' * bool(count)}\n{json.dumps(feature)}")
                count += 1
        file.write("\n]}\n")
    return count


def measure(kind: str, side: int, workers: int, ray: bool) -> dict[str, object]:
    """One size, in this process or by workers of this machine."""
    import torch

    import sian

    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp(prefix="slides"))
    try:
        outlines = kind == "outlines"
        mask = folder / ("mask.geojson" if outlines else "mask.tif")
        nuclei = 0 if kind == "tile" else write_outlines(mask, side) if outlines else write_mask(mask, side)
        model = sian.load()
        start, cpu = time.perf_counter(), time.process_time()
        if kind == "tile":
            scene = sian.nuclei.scatter(side, side, 0)
            model.synthesize(scene, "kidney")
            start, cpu = time.perf_counter(), time.process_time()
            model.synthesize(scene, "kidney")
            nuclei = int(scene.max())
        elif kind == "segment":
            from sian.segmentation import load
            from sian.segmentation.slide_segmenting import segment_slide

            picture(folder / "slide.tif", side)
            start, cpu = time.perf_counter(), time.process_time()
            nuclei = segment_slide(folder / "slide.tif", folder / "out", segmenter=load()).nuclei
        else:
            from sian.production import slide_painting, tile_painting
            from sian.production.tile_painting import Crew

            if kind in ("walk", "outlines"):
                tile_painting.paint_supertile = nothing
            elif kind == "middle":
                tile_painting.paint_supertile = middle_of(side, tile_painting.paint_supertile)
            shape = (side, side) if outlines else None
            crew = Crew(workers, ray) if workers else None
            slide_painting.paint_slide(mask, "kidney", folder / "out", model=model, shape=shape, crew=crew)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return {
        "kind": kind,
        "side": side,
        "nuclei": nuclei,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "cpu_us_a_pixel": round(1e6 * cpu / side**2, 3),
        "peak_gb": round(peak, 2),
        **({"workers": workers, "ray": ray} if workers else {}),
    }


def nothing(*given):
    """A super-tile of one colour."""
    core = given[4].core
    return np.full((core.height, core.width, 3), 200, np.uint8)


def middle_of(side: int, paint):
    """Paint the super-tile in the middle, whose halo is whole, and nothing of the others."""
    wanted = side // 2 // 2048

    def painted(*given):
        return paint(*given) if (given[4].row, given[4].column) == (wanted, wanted) else nothing(*given)

    return painted


def picture(path: Path, side: int) -> None:
    """A slide for the segmenter: a tile of the tour, mirrored and repeated."""
    import tifffile

    import sian

    tile = sian.read_image("docs/tour/tiles/train/kidney-1.jpg")[:256, :256]
    scene = np.concatenate([tile, tile[:, ::-1]], 1)
    scene = np.concatenate([scene, scene[::-1]], 0)
    repeated = np.tile(scene, (2, 2, 1))[:SCENE, :SCENE]
    count = (-(-side // SCENE)) ** 2
    tifffile.imwrite(
        path,
        (repeated for _ in range(count)),
        shape=(side, side, 3),
        dtype=np.uint8,
        tile=(SCENE, SCENE),
        compression="zlib",
        photometric="rgb",
        metadata=None,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for kind in ("paint", "middle", "walk", "outlines", "segment", "tile"):
        parser.add_argument(f"--{kind}", type=int, nargs="*", default=[], metavar="SIDE")
    parser.add_argument("--here", nargs=2, metavar=("KIND", "SIDE"), help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, nargs="*", default=[0], help="of --paint: processes, 0 for this one")
    parser.add_argument("--ray", action="store_true", help="of --workers: Ray's actors")
    given = parser.parse_args()
    if given.here:
        print(json.dumps(measure(given.here[0], int(given.here[1]), given.workers[0], given.ray)))
        return
    for kind in ("tile", "paint", "middle", "walk", "outlines", "segment"):
        for side, workers in product(getattr(given, kind), given.workers if kind == "paint" else [0]):
            command = [sys.executable, __file__, "--here", kind, str(side), "--workers", str(workers)]
            command += ["--ray"] * given.ray
            print(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip(), flush=True)


if __name__ == "__main__":
    main()
