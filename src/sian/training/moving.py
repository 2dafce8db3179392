"""Which parameters of a painter move in a stage: all, or groups that change its look and leave what it knows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from torch import nn

Group = Literal["modulation", "style", "noise", "biases", "last", "colour", "encoder"]

GROUPS: dict[Group, re.Pattern[str]] = {
    "modulation": re.compile(r"generator\.blocks\.\d\.sian_\w+\.modulation\."),  # gamma and beta
    "style": re.compile(r"generator\.(start_style|blocks\.\d\.sian_\w+\.style)\."),  # what the style vector does
    "noise": re.compile(r"generator\.blocks\.\d\.noise_strength"),
    "biases": re.compile(r"generator\..*\.bias"),
    "last": re.compile(r"generator\.(blocks\.[56]\.|to_rgb\.)"),  # from half of the image's size on
    "colour": re.compile(r"generator\.to_rgb\."),
    "encoder": re.compile(r"encoder\."),
}


def only_moving(painter: nn.Module, groups: Sequence[Group]) -> None:
    """Of what learns in a painter, let these groups alone; without any, all.

    Args:
        painter: what learns in it has `requires_grad` set.
        groups: keys of `GROUPS`.
    """
    if not groups:
        return
    for name, parameter in painter.named_parameters():
        if not any(GROUPS[group].match(name) for group in groups):
            parameter.requires_grad_(False)
