"""The quality gate: scores against the metrics called by hand, what it refuses, and further attempts."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image
from tests.production.test_run import lines, members
from tests.production.toys import tree, write_plan

from sian.cli.main import main
from sian.evaluation import aji, dice
from sian.production import Plan, run
from sian.segmentation import load as load_segmenter
from sian.synthesis import load


@pytest.fixture(scope="module")
def scored(tmp_path_factory, model):
    folder = tmp_path_factory.mktemp("scored")
    path = write_plan(folder, model, images=6, shard=6, gate={})
    run(path, folder / "set", workers=0)
    return folder / "set"


def test_scores_are_recorded_without_a_limit(scored, model) -> None:
    painter, segmenter = load(model), load_segmenter("judge")
    found = members(scored / "shards" / "toys-000000.tar")
    (line,) = lines(scored)
    assert (len(line["items"]), line["rejected"]) == (6, [])
    for record in line["items"]:
        image, mask = (
            np.asarray(Image.open(io.BytesIO(found[f"{record['id']}.{key}"]))) for key in ("image.png", "mask.png16")
        )
        predicted = segmenter.predict(image)
        for name, metric in (("aji", aji), ("dice", dice)):
            expected = metric(mask, predicted)  # nan where both are empty
            assert record["scores"][name] == (None if np.isnan(expected) else round(expected, 4))
        gap = np.linalg.norm(painter.encode(image).vector - painter.style(record["style"]).vector)
        spread = np.sqrt(np.mean([np.square(part.factors).sum() for part in painter.styles.parts.values()]))
        assert record["scores"]["style_distance"] == pytest.approx(gap / spread, abs=1e-3)


def test_what_fails_is_left_out_and_listed(scored, model, tmp_path, capsys) -> None:
    distances = sorted(record["scores"]["style_distance"] for record in lines(scored)[0]["items"])
    limit = (distances[2] + distances[3]) / 2
    path = write_plan(tmp_path, model, images=6, shard=6, gate={"style_distance": limit})
    assert main(["dataset", str(path), "-o", str(tmp_path / "set"), "--workers", "0"]) == 0
    printed = capsys.readouterr()
    assert "3 images in 1 shards, 3 refused by the gate" in printed.out
    assert printed.err.count("is above") == 3
    (line,) = lines(tmp_path / "set")
    assert len(line["items"]) == 3
    assert all(record["scores"]["style_distance"] <= limit for record in line["items"])
    assert all(record["reason"].startswith("style distance") for record in line["rejected"])
    assert len(members(tmp_path / "set" / "shards" / "toys-000000.tar")) == 9
    before = tree(tmp_path / "set")
    assert run(path, tmp_path / "set", workers=0).made == 0  # a refused image is not a missing one
    assert tree(tmp_path / "set") == before


def test_further_attempts_make_up_for_what_was_refused(scored, model, tmp_path) -> None:
    distances = sorted(record["scores"]["style_distance"] for record in lines(scored)[0]["items"])
    gate = {"style_distance": (distances[2] + distances[3]) / 2, "attempts": 12}
    path = write_plan(tmp_path, model, images=6, shard=6, gate=gate)
    outcome = run(path, tmp_path / "set", workers=0)
    records = lines(tmp_path / "set")[0]["items"]
    assert outcome.kept > 3
    assert sum(record["attempt"] == 0 for record in records) == 3
    again = next(record for record in records if record["attempt"])
    target = tmp_path / "again.png"
    assert main(["dataset", str(path), "--only", str(again["plan"]), "-o", str(target)]) == 0
    assert json.loads(target.with_suffix(".json").read_text())["sha256_image"] == again["sha256_image"]


def test_another_segmenter_than_the_plans(model, tmp_path, capsys) -> None:
    path = write_plan(tmp_path, model, gate={"sha256": "0" * 64})
    assert main(["dataset", str(path), "-o", str(tmp_path / "set")]) == 3
    assert "gate.sha256" in capsys.readouterr().err
    with pytest.raises(Exception, match="gone"):
        run(Plan.load(path, {"gate.segmenter": "gone.safetensors", "gate.sha256": "null"}), tmp_path / "set")
