"""Numbers one can trust: how close synthetic images are to real ones, and how well masks agree.

Each metric is a pure function and an accumulating class in the file of its name (DESIGN section 10):

    fid, kid            Inception features of two sets of images
    ssim                pairs of images
    panoptic, aji, dice, f1     pairs of instance masks

`evaluate` assembles them into one result with floors; `report` writes it down; `reconstruction` is the
paper's protocol.
"""

from sian.evaluation.aji import AjiMetric, aji
from sian.evaluation.dice import DiceMetric, dice
from sian.evaluation.f1 import F1Metric, f1
from sian.evaluation.features import InceptionFeatures
from sian.evaluation.fid import FidMetric, fid
from sian.evaluation.kid import KidMetric, KidScore, kid
from sian.evaluation.means import Mean
from sian.evaluation.panoptic import PanopticMetric, PanopticScore, PanopticSummary, panoptic
from sian.evaluation.ssim import SsimMetric, ssim

__all__ = [
    "AjiMetric",
    "DiceMetric",
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
    "aji",
    "dice",
    "f1",
    "fid",
    "kid",
    "panoptic",
    "ssim",
]
