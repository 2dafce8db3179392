"""Fuzz every reader: seeded mutations of small whole files, each read in a child with limits (`make fuzz MINUTES=10`).

A finding is an exception that is no `SianError`, a signal, more than `CPU_SECONDS` or more than `MEMORY_BYTES`; its
file, its seed and what was raised are saved below ``--findings``, and ``--repeat FOLDER`` reads one again. Corpora
are functions that write small valid inputs: `outline_corpus` here, those of pictures and containers in
`fuzz_corpora.py`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from sian.data import import_dataset
from sian.errors import SianError

CPU_SECONDS = 10
MEMORY_BYTES = 1 << 30  # that a child may have resident beyond what the parent had
ADDRESS_BYTES = 6 << 30  # beyond which it gets no memory at all
MOST_CHARACTERS = 20_000  # of an error's sentence
BATCH = 40  # mutations read in one child; a fork costs more than most of them
SIZE = (40, 48)
TOKENS = (
    b"NaN",
    b"-1",
    b"1e308",
    b"0",
    b"65536",
    b"null",
    b"[]",
    b"{}",
    b'""',
    b"true",
    b"\\ud800",
    b"\x1b[31m",
    b"9" * 5000,
)


def outline_corpus(folder: Path) -> list[Path]:
    """Sources of annotation files, tables and folders: one folder each, as `sian data import` takes it."""
    ring = [[4, 4], [12, 4], [12, 12], [4, 12], [4, 4]]
    flat = [number for point in ring[:4] for number in point]
    feature = {
        "type": "Feature",
        "id": "PathCellObject",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "nucleusGeometry": {"type": "MultiPolygon", "coordinates": [[ring]], "isEllipse": True},
        "properties": {"objectType": "annotation", "classification": {"names": ["a", "b"]}, "childObjects": []},
    }
    rle = {"size": list(SIZE), "counts": [5, 8, 1907]}
    entries = [
        {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "segmentation": [flat], "bbox": [4, 4, 8, 8]},
        {"id": 2, "image_id": 1, "category_id": 1, "iscrowd": 0, "segmentation": rle},
        {"id": 3, "image_id": 1, "category_id": 1, "segmentation": {"size": list(SIZE), "counts": "58ck1"}},
    ]
    image = {"id": 1, "file_name": "a.png", "width": SIZE[1], "height": SIZE[0]}
    coco = {"images": [image], "categories": [{"id": 1, "name": "x"}], "annotations": entries}
    nuc = {"mag": 40, "nuc": {"1": {"contour": ring[:4], "type": 1, "centroid": [8, 8], "bbox": [[4, 4], [12, 12]]}}}
    vertices = "".join(f'<Vertex X="{x}" Y="{y}"/>' for x, y in ring)
    region = f'<Region Type="0" NegativeROA="0"><Vertices>{vertices}</Vertices></Region>'
    layer = '<Attributes><Attribute Name="Epithelial" Value=""/></Attributes>'
    xml = (
        f'<Annotations MicronsPerPixel="0.25"><Annotation>{layer}<Regions>{region}</Regions></Annotation></Annotations>'
    )
    texts = {
        "qupath/a.geojson": json.dumps({"type": "FeatureCollection", "features": [feature, feature]}),
        "coco/coco.json": json.dumps(coco),
        "hovernet/a.json": json.dumps(nuc),
        "imagescope/a.xml": xml,
        "table/items.csv": "id,organ,mpp,patient,split\na,kidney,0.25,p,train\n",
    }
    sources = []
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
        picture = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
        Image.fromarray(picture).save(path.parent / "a.png")
        sources.append(path.parent)
    for name in ("qupath/a.geojson", "imagescope/a.xml"):
        packed = folder / f"{name.replace('/', '-gz/')}.gz"
        packed.parent.mkdir()
        shutil.copy(folder / name.split("/")[0] / "a.png", packed.parent)
        packed.write_bytes(gzip.compress((folder / name).read_bytes()))
        sources.append(packed.parent)
    ids = np.zeros(SIZE, np.uint16)
    ids[4:12, 4:12] = 1
    Image.fromarray(ids).save(folder / "table" / "a_labels.png")
    return sources


def corpora(folder: Path) -> list[Path]:
    """Every source there is."""
    found = outline_corpus(folder / "outlines")
    try:
        from fuzz_corpora import CORPORA
    except ImportError:  # of pictures and containers
        return found
    for number, make in enumerate(CORPORA):
        found += make(folder / f"more-{number}")
    return found


def mutate(content: bytes, chance: random.Random) -> bytes:
    """A few changes: bits, bytes, cuts, repeats, numbers and words in place of others."""
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        if not data:
            return bytes(data)
        at, length = chance.randrange(len(data)), chance.choice((1, 1, 2, 4, 8, 64, 1024))
        kind = chance.randrange(8)
        if kind == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[at : at + length] = chance.randbytes(length)
        elif kind == 2:
            del data[at : at + length]
        elif kind == 3:
            data[at:at] = data[at : at + length] * chance.choice((1, 2, 50))
        elif kind == 4:
            del data[at:]
        elif kind == 5:
            data[at : at + 4] = chance.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\x80"))
        elif kind == 6:
            data[at : at + length] = chance.choice(TOKENS)
        else:
            other = chance.randrange(len(data))
            data[at : at + length] = data[other : other + length]
    return bytes(data)


def mutate_text(content: bytes, chance: random.Random) -> bytes:
    """One word, number or bracketed part of a text replaced by another: the text mostly stays well formed."""
    import re

    parts = [found.span() for found in re.finditer(rb'"[^"]*"|-?\d+(?:\.\d+)?|\[[^][]*\]|\{[^{}]*\}|\w+', content)]
    if not parts:
        return mutate(content, chance)
    start, stop = chance.choice(parts)
    other = chance.choice(parts)
    new = chance.choice((*TOKENS, content[slice(*other)], content[start:stop] * 2, b'"' + b"x" * 300 + b'"'))
    return content[:start] + new + content[stop:]


def spoil(source: Path, target: Path, seed: int) -> str:
    """Copy a source with one of its files changed; which one."""
    chance = random.Random(seed)
    shutil.copytree(source, target)
    files = sorted(path for path in target.rglob("*") if path.is_file())
    victim = chance.choice(files)
    content = victim.read_bytes()
    if content[:2] == b"\x1f\x8b" and chance.random() < 0.5:
        victim.write_bytes(gzip.compress(mutate_text(gzip.decompress(content), chance), mtime=0))
    else:
        is_text = all(32 <= byte < 127 or byte in (9, 10, 13) for byte in content[:200])
        victim.write_bytes((mutate_text if is_text and chance.random() < 0.7 else mutate)(content, chance))
    return str(victim.relative_to(target))


def read(source: Path, work: Path) -> None:
    """What is tried: an import, by everything that it reads with."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import_dataset(source, work)


def run_batch(sources: list[Path], seeds: range, note: Path) -> None:
    """In the child: read mutations one after another, and note which one is at hand."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_BYTES, ADDRESS_BYTES))
    sys.stderr = sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - until the child ends
    for seed in seeds:
        source = sources[seed % len(sources)]
        start, memory = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        note.write_text(str(seed))
        spent = int(start) + CPU_SECONDS + 1
        resource.setrlimit(resource.RLIMIT_CPU, (spent, spent + 5))
        found = ""
        with tempfile.TemporaryDirectory(dir=note.parent) as folder:
            try:
                spoil(source, Path(folder) / "in", seed)
                read(Path(folder) / "in", Path(folder) / "out")
            except SianError as error:
                found = "a sentence of no end" if len(str(error)) > MOST_CHARACTERS else ""
            except BaseException:  # noqa: BLE001 - whatever it is, it is a finding
                found = traceback.format_exc()
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
        if time.process_time() - start > CPU_SECONDS:
            found = f"{time.process_time() - start:.1f} s of CPU\n{found}"
        if grown * 1024 > MEMORY_BYTES:
            found = f"{grown / 1e6:.2f} GB\n{found}"
        if found:
            (note.parent / f"finding-{seed}.txt").write_text(found)


def in_child(sources: list[Path], seeds: range, work: Path) -> dict[int, str]:
    """Findings by seed of a batch; a child that dies is one of the seed that it was reading."""
    note = work / "note"
    child = os.fork()
    if child == 0:
        try:
            run_batch(sources, seeds, note)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    findings = {int(f.stem.split("-")[1]): f.read_text() for f in work.glob("finding-*.txt")}
    for file in work.glob("finding-*.txt"):
        file.unlink()
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        findings[int(note.read_text())] = f"died by {signal.Signals(number).name}"
    return findings


def save(sources: list[Path], seed: int, found: str, findings: Path) -> None:
    """Keep a finding's input and what became of it."""
    folder = findings / str(seed)
    shutil.rmtree(folder, ignore_errors=True)
    victim = spoil(sources[seed % len(sources)], folder / "in", seed)
    (folder / "found.txt").write_text(f"seed {seed}, {sources[seed % len(sources)].name}, {victim}\n{found}\n")


def main() -> int:
    """Fuzz for some minutes; exit code 1 when there are findings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0, help="of the first mutation; the others follow")
    parser.add_argument("--only", default="", help="sources whose name holds this")
    parser.add_argument("--findings", type=Path, default=Path("out/fuzz"))
    parser.add_argument("--repeat", type=Path, help="read the input of one finding again, with its traceback")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.repeat:
            read(options.repeat / "in", Path(folder) / "out")
            return 0
        sources = [source for source in corpora(Path(folder)) if options.only in str(source.relative_to(folder))]
        work = Path(folder) / "work"
        work.mkdir()
        for source in sources:  # a corpus that is refused unspoilt tests nothing; and modules are loaded once
            read(source, work / "whole" / source.name)
        end, seed, kinds = time.monotonic() + 60 * options.minutes, options.seed, {}
        while time.monotonic() < end:
            for number, found in in_child(sources, range(seed, seed + BATCH), work).items():
                kind = found.strip().splitlines()[-1][:100]
                if kind not in kinds:
                    save(sources, number, found, options.findings)
                    print(f"seed {number}: {kind}", flush=True)
                kinds[kind] = kinds.get(kind, 0) + 1
            seed += BATCH
        print(f"{seed - options.seed:,} mutations of {len(sources)} sources: {sum(kinds.values())} findings")
        return 1 if kinds else 0


if __name__ == "__main__":
    sys.exit(main())
