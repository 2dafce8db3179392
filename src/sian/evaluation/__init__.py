"""Numbers one can trust: how close synthetic images are to real ones, and how well masks agree.

Each metric is a pure function and an accumulating class in the file of its name (docs/design.md, "Metrics"):

    fid, kid            Inception features of two sets of images
    ssim                pairs of images
    panoptic, aji, dice, f1     pairs of instance masks

`evaluate` assembles them into one result with floors; `report` writes it down; `reconstruction` is the
paper's protocol.
"""

from sian.evaluation.agreement import Agreement, agreement
from sian.evaluation.aji import AjiMetric, aji
from sian.evaluation.collection import Collection, from_images, open_images, open_masks
from sian.evaluation.dice import DiceMetric, dice
from sian.evaluation.evaluate import Evaluation, Tools, evaluate
from sian.evaluation.f1 import F1Metric, f1
from sian.evaluation.features import InceptionFeatures
from sian.evaluation.fid import FidMetric, fid
from sian.evaluation.kid import KidMetric, KidScore, kid
from sian.evaluation.means import Mean
from sian.evaluation.panoptic import PanopticMetric, PanopticScore, PanopticSummary, panoptic
from sian.evaluation.report import write_report
from sian.evaluation.ssim import SsimMetric, ssim

__all__ = [
    "Agreement",
    "AjiMetric",
    "Collection",
    "DiceMetric",
    "Evaluation",
    "F1Metric",
    "FidMetric",
    "InceptionFeatures",
    "KidMetric",
    "KidScore",
    "Mean",
    "PanopticMetric",
    "PanopticScore",
    "PanopticSummary",
    "SsimMetric",
    "Tools",
    "agreement",
    "aji",
    "dice",
    "evaluate",
    "f1",
    "fid",
    "from_images",
    "kid",
    "open_images",
    "open_masks",
    "panoptic",
    "ssim",
    "write_report",
]
