"""The rows of Table 4 and its scales: what each segmenter learns from, and for how long."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sian.errors import BadInput, nearest
from sian.segmentation import SegmenterRecipe

SHARE = 0.5  # of the windows are synthetic where synthetic images are used; the paper names no share
TRADITIONAL = 0.5  # of the windows are changed in the rows with "*"; the paper names no share
STRONG_STAIN = 0.5  # haematoxylin and eosin each by up to half
PASTED = 20  # nuclei offered to each window

# What the bundled recipes do beyond the paper is off in every row, so that a row adds what it says and nothing else.
PLAIN: Mapping[str, str] = {
    "data.turn": "false",
    "data.repeat": "{}",
    "data.synthetic": str(SHARE),
    "augment": "{}",
}


@dataclass(frozen=True)
class Training:
    """A row: what a segmenter learns from.

    Attributes:
        name: of its folder, and of ``--rows``.
        title: in the table.
        network: "segnet" or "unet".
        tiles: the share of real training tiles that it sees.
        synthetic: whether synthetic images are mixed in.
        changes: of the recipe.
        steps: its length, as a part of the other rows'.
        against: the row that it is compared with; "" for none.
        paper: the paper's numbers.
    """

    name: str
    title: str
    network: str = "segnet"
    tiles: float = 1.0
    synthetic: bool = False
    changes: Mapping[str, str] = field(default_factory=dict)
    steps: float = 1.0
    against: str = "real"
    paper: Mapping[str, float] = field(default_factory=dict)

    def recipe(self, scale: Scale4, seed: int) -> SegmenterRecipe:
        """The row's recipe at a scale."""
        length = {"images": str(max(1, round(scale.images * self.steps)))}
        name = {"name": f"{self.name}-{scale.name}", "seed": str(seed)}
        changes = {**PLAIN, **scale.changes, **self.changes, **length, **name}
        return SegmenterRecipe.load(scale.recipes[self.network], changes)


@dataclass(frozen=True)
class Scale4:
    """How much is spent on a row.

    Attributes:
        name: "tiny", "small" or "paper".
        recipes: bundled recipe by network.
        changes: of every row's recipe.
        images: training windows of a run.
        seeds: runs of a row.
        synthetic: images in the synthetic data set, shared equally by the styles.
        rows: names of its rows.
        windows: of 256 px that are tested of each tile, evenly spread over the protocol's 16; None for the whole tile.
        warning: what must be said beside its numbers.
    """

    name: str
    recipes: Mapping[str, str]
    changes: Mapping[str, str]
    images: int
    seeds: int
    synthetic: int
    rows: tuple[str, ...]
    windows: int | None = None
    warning: str = ""


def _paper(dq: float, sq: float, pq: float) -> dict[str, float]:
    return {"dq": dq, "sq": sq, "pq": pq}


_STAR = {"augment.traditional": str(TRADITIONAL)}
_FROZEN = {"data.repeat": "{frozen: 2}"}
_STAIN = {"augment.stain": str(STRONG_STAIN)}

_MAIN = (
    Training("real", "real images", against="", paper=_paper(0.704, 0.737, 0.521)),
    Training("real-star", "real images*", changes=_STAR, paper=_paper(0.725, 0.738, 0.533)),
    Training("synthetic", "synthetic augmentation", synthetic=True, paper=_paper(0.742, 0.740, 0.547)),
    Training(
        "synthetic-star",
        "synthetic augmentation*",
        synthetic=True,
        changes=_STAR,
        against="real-star",
        paper=_paper(0.748, 0.742, 0.555),
    ),
)
# Three of the seven styles (bladder, colon, stomach) are of frozen sections alone. So are 13 of the 14 test tiles, but
# only 6 of the 30 training tiles: with synthetic images 31 % of the windows look frozen, without 20 %, in "frozen" 33 %
_CONTROLS = (
    Training(
        "real-short", "control: real images, only as many steps as synthetic augmentation has on them", steps=SHARE
    ),
    Training("stain", "control: real images, strong stain augmentation", changes=_STAIN),
    Training("paste", "control: real images, copy-paste of nuclei", changes={"augment.paste": str(PASTED)}),
    Training("frozen", "control: real images, frozen tiles counted twice", changes=_FROZEN),
    Training(
        "stain-synthetic",
        "synthetic augmentation and strong stain augmentation",
        synthetic=True,
        changes=_STAIN,
        against="stain",
    ),
    Training(
        "frozen-synthetic",
        "synthetic augmentation, real frozen tiles counted twice",
        synthetic=True,
        changes=_FROZEN,
        against="frozen",
    ),
)
_FRACTIONS = tuple(
    Training(
        f"{kind}-{percent}",
        f"{title}, {percent} % of the real tiles",
        tiles=percent / 100,
        synthetic=kind == "synthetic",
        against=f"real-{percent}" if kind == "synthetic" else "real",
    )
    for percent in (10, 25, 50)
    for kind, title in (("real", "real images"), ("synthetic", "synthetic augmentation"))
)
_STRONGER = (
    Training("unet-real", "U-Net: real images", "unet", against=""),
    Training("unet-real-star", "U-Net: real images*", "unet", changes=_STAR, against="unet-real"),
    Training("unet-synthetic", "U-Net: synthetic augmentation", "unet", synthetic=True, against="unet-real"),
    Training(
        "unet-synthetic-star",
        "U-Net: synthetic augmentation*",
        "unet",
        synthetic=True,
        changes=_STAR,
        against="unet-real-star",
    ),
)
ROWS: dict[str, Training] = {row.name: row for row in _MAIN + _CONTROLS + _FRACTIONS + _STRONGER}
CONTROLS = tuple(row.name for row in _CONTROLS if not row.synthetic and row.steps == 1)
_TINY_LEFT_OUT = {"real-25", "synthetic-25", "real-50", "synthetic-50", "unet-real", "unet-synthetic"}

SCALES: dict[str, Scale4] = {
    "tiny": Scale4(
        "tiny",
        {"segnet": "segnet-small", "unet": "unet-small"},
        {
            "network.width": "8",
            "data.size": "96",
            "data.batch": "4",
            "average": "{half_life: 200, ramp: 0.1}",
            "every": "{journal: 400}",
        },
        images=1600,
        seeds=2,
        synthetic=70,
        rows=tuple(name for name in ROWS if name not in _TINY_LEFT_OUT),
        windows=4,
        warning="Tiny networks are far from trained to their end: the table shows that every row runs from data to "
        "numbers, and what helps a network that has seen little; it does not say what helps one that is fully trained.",
    ),
    "small": Scale4(
        "small",
        {"segnet": "segnet", "unet": "unet"},
        {"data.batch": "8"},
        images=24000,
        seeds=3,
        synthetic=1400,
        rows=tuple(ROWS),
        warning="A fifth of the windows and less than a third of the synthetic images of the paper's scale.",
    ),
    "paper": Scale4(
        "paper",
        {"segnet": "segnet", "unet": "unet"},
        {},
        images=120000,
        seeds=5,
        synthetic=5000,
        rows=tuple(ROWS),
        warning="The paper names no length of training, no share of synthetic windows and no number of seeds: 120,000 "
        "windows, a half, and 5 are ours.",
    ),
}


def scale_named(name: str) -> Scale4:
    """The scale of that name.

    Raises:
        BadInput: there is none.
    """
    if name not in SCALES:
        raise BadInput(f"--scale {name!r}: no such scale{nearest(name, SCALES)}")
    return SCALES[name]


def rows_named(names: Iterable[str], scale: Scale4) -> list[Training]:
    """The rows of those names; all rows of the scale if there are none.

    Raises:
        BadInput: a name that the table does not have.
    """
    names = list(dict.fromkeys(names)) or list(scale.rows)
    for name in names:
        if name not in ROWS:
            raise BadInput(f"--rows {name!r}: no such row{nearest(name, ROWS)}")
    return [ROWS[name] for name in names]
