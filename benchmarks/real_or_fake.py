"""How well a linear classifier tells paintings from real windows by their Inception features, split by tile.

    python benchmarks/real_or_fake.py DATA [--split test] [--model bundled] [--tissue] --weights DIR

Every window of the split is painted again in its own style with noise (the reconstruction protocol, paired). For each
tile a logistic regression learns from all other tiles' windows, real and painted, and judges this one's. 0.5 is
chance; the area under the curve is over the scores of all tiles together. Features are divided by their deviation;
the penalty is fixed (C = 0.01 of scikit-learn's, which has not to be installed).
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import torch

import sian
from sian.evaluation import InceptionFeatures
from sian.evaluation.reconstruction import model_painter, reconstruct

PENALTY = 100.0  # of half the squared weights, beside the sum of the windows' losses
STEPS = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--tissue", action="store_true")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore", sian.SianWarning)
    model, extractor = sian.load(options.model), InceptionFeatures.load(options.weights)
    made = reconstruct(
        model_painter(model, 1.0),
        sian.open_dataset(options.data),
        split=options.split,
        seed=options.seed,
        tissue=options.tissue,
    )
    tiles = [made.real.entries[name].group or name for name in made.real.names]
    real, fake = (extractor([side.read(name) for name in made.real.names]) for side in (made.real, made.fake))
    accuracy, area = told_apart(real, fake, np.array(tiles))
    told = ", tissue maps" if options.tissue else ""
    print(
        f"{options.model}{told}: area under the curve {area:.3f}, accuracy {accuracy:.3f}, n = {len(real)} real and "
        f"{len(fake)} painted windows of {len(set(tiles))} tiles"
    )


def told_apart(real: np.ndarray, fake: np.ndarray, tiles: np.ndarray) -> tuple[float, float]:
    """Accuracy and area under the curve of judgements on tiles that the classifier has not seen.

    Args:
        real: (n, d) features.
        fake: (n, d), painted from the same windows' masks.
        tiles: (n,), whose windows they are.
    """
    scores = np.empty((2, len(tiles)))
    for tile in np.unique(tiles):
        seen = tiles != tile
        weights, mean, deviation, bias = fitted(np.concatenate([real[seen], fake[seen]]), int(seen.sum()))
        for side, features in enumerate((real, fake)):
            scores[side, ~seen] = ((features[~seen] - mean) / deviation) @ weights + bias
    accuracy = ((scores[0] > 0).mean() + (scores[1] < 0).mean()) / 2
    area = (scores[0][:, None] > scores[1][None]).mean() + 0.5 * (scores[0][:, None] == scores[1][None]).mean()
    return float(accuracy), float(area)


def fitted(features: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Logistic regression: the first `count` are real. Weights, and what features are centred and divided by."""
    mean, deviation = features.mean(0), features.std(0) + 1e-6
    x = torch.from_numpy((features - mean) / deviation).double()
    y = torch.cat([torch.ones(count), torch.zeros(len(x) - count)]).double()
    weights, bias = torch.zeros(x.shape[1], dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    weights.requires_grad_(), bias.requires_grad_()
    optimiser = torch.optim.LBFGS([weights, bias], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        total = torch.nn.functional.binary_cross_entropy_with_logits(x @ weights + bias, y, reduction="sum")
        total = total + PENALTY / 2 * weights.square().sum()
        total.backward()
        return total

    optimiser.step(loss)
    return weights.detach().numpy(), mean, deviation, float(bias.detach())


if __name__ == "__main__":
    main()
