"""A segmenter made better on slides that nobody annotated.

::

    slide_cutting.py  windows of all slides; which slides are left out
    going_on.py     whether a folder holds a stopped adaptation of the same things
    steadiness.py   a score without labels: does a segmenter find the same when colours and directions change
    painted.py      what was outlined, painted in the styles of the slides
    learning.py     from windows to a segmenter that has learned from outlines and paintings, in the minutes there are
    adapting.py     all of it: windows, outlines, learning, which segmenter is kept and why
    result.py       what came of it
    adaptation_report.py  report.json, report.html
"""

from sian.adaptation.adapting import adapt
from sian.adaptation.result import Adapted

__all__ = ["Adapted", "adapt"]
