"""What leaves the studio: picture, mask, outlines, a style's file, a data set's item, lines that repeat it."""

from __future__ import annotations

import io
import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sian.data.class_file import SUFFIX
from sian.data.dataset import MANIFEST, DatasetInfo, read_info
from sian.data.formats.qupath import classification, geometry
from sian.data.importing import ids_by_class
from sian.data.writing import DatasetWriter
from sian.errors import BadInput
from sian.files import encode_png
from sian.files.locks import only_writer
from sian.masks.contours import trace_nuclei
from sian.masks.files import encode_mask_png
from sian.synthesis.labels import png_text
from sian.synthesis.stylefile import StyleFile

if TYPE_CHECKING:
    from pathlib import Path

    from sian.studio_app.snapshots import Drawn, Still
    from sian.studio_app.studio import Studio

SETTLING = 600.0  # seconds that saving waits for the whole picture
DATASET = "dataset"  # the folder's data set that items are saved into


@dataclass(frozen=True)
class File:
    """A file that a page is given."""

    name: str
    kind: str
    content: bytes


def image(studio: Studio) -> File:
    """The painting as PNG; its text says that it is synthetic, by which model, in which style."""
    still = studio.still(SETTLING)
    return File(f"{still.drawn.stem}_synthetic.png", "image/png", encode_png(still.picture, _text(studio, still)))


def mask(studio: Studio) -> File:
    """The mask as 16-bit PNG."""
    drawn = studio.drawn()
    return File(f"{drawn.stem}_mask.png", "image/png", encode_mask_png(drawn.mask))


def outlines(studio: Studio) -> File:
    """The nuclei as GeoJSON, as QuPath opens it over the picture, with the classes that are known."""
    features, drawn = [], studio.drawn()
    names = list(dict.fromkeys([*studio.model.info.classes, *drawn.classes.values()]))
    for nucleus, polygons in trace_nuclei(drawn.mask):
        properties: dict[str, Any] = {"objectType": "detection", "name": str(nucleus)}
        if nucleus in drawn.classes:
            properties["classification"] = classification(drawn.classes[nucleus], names)
        features.append({"type": "Feature", "geometry": geometry(polygons), "properties": properties})
    content = json.dumps({"type": "FeatureCollection", "features": features}).encode()
    return File(f"{drawn.stem}.geojson", "application/geo+json", content)


def style(studio: Studio) -> File:
    """The style as a file for `--style` of every command."""
    vector = studio.painter.wanted.style.vector
    if not vector.size:
        raise BadInput("this model has no style; there is nothing to save")
    content = StyleFile(model=studio.model.sha256, vector=vector.tolist()).model_dump_json(indent=2) + "\n"
    return File(f"{studio.stem}_style.json", "application/json", content.encode())


def classes(studio: Studio) -> File:
    """The nuclei's classes that the model knows, as every command reads them beside the mask."""
    drawn, names = studio.drawn(), studio.model.info.classes
    known = {nucleus: name for nucleus, name in drawn.classes.items() if name in names}
    content = json.dumps(ids_by_class(known) or {}, indent=2) + "\n"
    return File(f"{drawn.stem}_mask{SUFFIX}", "application/json", content.encode())


def tissue(studio: Studio) -> File:
    """The tissue map, for `--tissue` and `tissue=`."""
    drawn = studio.drawn()
    if drawn.tissue is None:
        raise BadInput("nothing is said of the tissue between the nuclei; draw lumen or stroma first")
    stream = io.BytesIO()
    np.save(stream, drawn.tissue, allow_pickle=False)
    return File(f"{drawn.stem}_tissue.npy", "application/octet-stream", stream.getvalue())


FILES = {"image": image, "mask": mask, "outlines": outlines, "style": style, "classes": classes, "tissue": tissue}


def item(studio: Studio) -> str:
    """Add picture and mask to the data set of the folder; returns where, in words."""
    still = studio.still(SETTLING)
    drawn, folder = still.drawn, studio.folder / DATASET
    info = studio.model.info
    before = read_info(folder).classes if (folder / MANIFEST).is_file() else []
    said = DatasetInfo(
        name="sian-studio",
        mpp=info.mpp,
        licence=info.licence,
        source="drawn in sian studio",
        synthetic=True,
        classes=list(dict.fromkeys([*before, *drawn.classes.values()])),
    )
    facts: dict[str, Any] = {
        "model": studio.model.sha256,
        "style": still.wanted.style.name,
        "seed": still.wanted.seed,
        "source": "drawn in sian studio",
        "classes": ids_by_class(drawn.classes),
    }
    if info.mpp is not None:
        facts["mpp"] = info.mpp
    with studio.keeping, only_writer(folder):
        writer = DatasetWriter(folder, said)
        name = _free(drawn.stem, set(writer.items))
        writer.add(name, still.picture, drawn.mask, text=_text(studio, still), **facts)
        count = len(writer.items)
    return f"{name} is in {_short(folder, studio)}, a data set of {count} {'item' if count == 1 else 'items'}"


def lines(studio: Studio) -> dict[str, str]:
    """The command and the Python that make the same picture of the saved mask."""
    wanted, settings, drawn = studio.painter.wanted, studio.settings, studio.drawn()
    parts: dict[str, float] = settings["style"]
    own = any(name.startswith("@") for name in parts) or (len(parts) > 1 and any("#" in name for name in parts))
    name = f"{drawn.stem}_style.json" if own else wanted.style.name
    model = "" if studio.bundled else f" --model {shlex.quote(str(studio.model_path))}"
    loaded = "sian.load()" if studio.bundled else f"sian.load({str(studio.model_path)!r})"
    noise = f" --noise {wanted.noise:g}" if wanted.noise != 1 else ""
    noise_argument = f", noise={wanted.noise:g}" if wanted.noise != 1 else ""
    told = "" if drawn.tissue is None else f" --tissue {shlex.quote(f'{drawn.stem}_tissue.npy')}"
    imports, reading, arguments = _told(drawn, bool(studio.model.info.classes))
    given = shlex.quote(f"{drawn.stem}_mask.png")
    command = f"sian synthesize {given} --style {shlex.quote(name)} --seed {wanted.seed}{told}{noise}{model} -o out"
    code = (
        f'{imports}import sian\n\nmask = sian.read_mask("{drawn.stem}_mask.png")\n{reading}'
        f'image = {loaded}.synthesize(mask, style="{name}", seed={wanted.seed}{noise_argument}{arguments})'
    )
    also = [
        *(["its classes"] if studio.model.info.classes else []),
        *(["the tissue map"] if drawn.tissue is not None else []),
        *(["the style"] if own else []),
    ]
    note = f"In the same folder, save {' and '.join(also)}." if also else ""
    return {"command": command, "python": code, "note": note}


def _told(drawn: Drawn, classed: bool) -> tuple[str, str, str]:
    """Python that reads a drawing's classes and its tissue map: imports, lines, and further arguments."""
    imports = reading = arguments = ""
    if classed:
        imports += "import json\nfrom pathlib import Path\n\n"
        reading += (
            f'by_class = json.loads(Path("{drawn.stem}_mask{SUFFIX}").read_text())\n'
            "classes = {nucleus: name for name, ids in by_class.items() for nucleus in ids}\n"
        )
        arguments += ", classes=classes"
    if drawn.tissue is not None:
        imports += "import numpy as np\n"
        reading += f'tissue = np.load("{drawn.stem}_tissue.npy")\n'
        arguments += ", tissue=tissue"
    return imports, reading, arguments


def _text(studio: Studio, still: Still) -> dict[str, str]:
    """What the picture's file says of it."""
    return png_text(studio.model, still.wanted.style, still.wanted.seed, f"{still.drawn.stem}_mask.png")


def _free(stem: str, taken: set[str]) -> str:
    known = {name.casefold() for name in taken}
    number = 1
    while f"{stem}-{number}".casefold() in known:
        number += 1
    return f"{stem}-{number}"


def _short(path: Path, studio: Studio) -> str:
    return str(path.relative_to(studio.folder.parent))
