"""`sian dataset`: a plan to a data set of thousands of painted images."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sian.cli import console
from sian.cli.arguments import DryRun, Json, check_recipe, check_there, parse_changes

if TYPE_CHECKING:
    from sian.production import Outcome, Plan

LISTED = 5  # rejected or failed images that are spelt out


def dataset(
    plan: Annotated[
        str | None,
        typer.Argument(help="A bundled plan's name (seven-organs) or the path of a .yaml file.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The data set's folder; with --only, the .png to write.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one value: KEY=VALUE, e.g. images=700 or gate.at_least=0.4."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes of one thread each; all cores if not given, 0: this process.")
    ] = None,
    ray: Annotated[bool, typer.Option("--ray", help="Work by Ray (pip install 'sian[ray]').")] = False,
    address: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Address of a Ray cluster; implies --ray.", show_default=False),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Hash every file and every image of -o; make nothing.")
    ] = False,
    only: Annotated[int | None, typer.Option(min=0, metavar="NUMBER", help="Make this one image again.")] = None,
    example: Annotated[bool, typer.Option("--example", help="Print a plan to start from.")] = False,
    copies_of: Annotated[
        Path | None,
        typer.Option(
            metavar="DATASET", help="Afterwards, look for copies of the images of DATASET; writes copies.json."
        ),
    ] = None,
    screened: Annotated[int | None, typer.Option(min=1, help="With --copies-of: look at N images only.")] = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --copies-of: the folder that holds Inception.")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Make a data set of painted images from a plan.

    The images go into shards with hashes. The same plan gives the same bytes again, and the same command goes on with
    a run that was stopped.
    """
    if example:
        console.out(_example())
        return
    if dry_run and (verify or only is not None):
        raise typer.BadParameter("--dry-run is of making a data set; leave --verify and --only out")
    if output is None:
        raise typer.BadParameter("where to? add -o FOLDER")
    if verify:
        _verify(output, as_json)
        return
    if plan is None:
        raise typer.BadParameter("which plan? name one, e.g. seven-organs; --example prints it")
    check_recipe(plan, "recipes/plans", "plan")
    check_there("folder", copies_of)
    chosen = _plan(plan, changes)
    if only is not None:
        _only(chosen, only, output, as_json)
        return
    from sian.data import open_dataset
    from sian.files.weights import find_weights
    from sian.production import run

    if copies_of is not None:  # before hours of painting
        find_weights("inception_fid", weights)
        open_dataset(copies_of)
    if dry_run:
        _rehearse(chosen, output, as_json)
        return
    with console.progress("painting") as report:
        outcome = run(chosen, output, workers=workers, ray=address or ray, report=report)
    if copies_of is not None:
        _screen(output, copies_of, screened, weights)
    _say(outcome, as_json)


def _rehearse(plan: Plan, output: Path, as_json: bool) -> None:
    from dataclasses import asdict

    from sian.production.plan_rehearsal import rehearse_plan

    would = rehearse_plan(plan, output)
    if as_json:
        console.print_json({"format": "sian.dataset-dry-run/1", "folder": output, **asdict(would)})
        return
    console.out(f"plan {plan.name}: {would.images} images in {would.shards} shards; nothing is written")
    console.out("styles: " + ", ".join(f"{name} {images}" for name, images in would.styles.items()))
    console.out(f"masks: {would.masks}; model: {would.model[:12]}; gate: {'yes' if would.gate else 'none'}")
    console.out(f"{output}: {would.missing} images in {would.missing_shards} shards would be made now")


def _screen(folder: Path, data: Path, images: int | None, weights: Path | None) -> None:
    from sian.data import open_dataset
    from sian.evaluation import InceptionFeatures
    from sian.production import screen_copies

    with console.progress("looking for copies") as report:
        found = screen_copies(folder, open_dataset(data), InceptionFeatures.load(weights), images=images, report=report)
    expected = found["quantile"] * found["n"]
    console.say(
        f"copies: {len(found['flagged'])} of {found['n']} images lie nearer to a training image than "
        f"{found['quantile']:.0%} of held-out real windows do ({expected:.0f} would by chance); see copies.json"
    )


def _plan(source: str, changes: list[str] | None) -> Plan:
    from sian.production import Plan

    return Plan.load(source, parse_changes(changes, "images=700"))


def _example() -> str:
    from importlib import resources

    return resources.files("sian").joinpath("recipes/plans/seven-organs.yaml").read_text(encoding="utf-8").rstrip()


def _verify(folder: Path, as_json: bool) -> None:
    from sian.errors import BadInput
    from sian.production import verify

    with console.progress("verifying", "shards") as report:
        found = verify(folder, report)
    if as_json:
        console.print_json({"shards": found.shards, "images": found.images, "problems": found.problems})
    if found.problems:
        more = f"; and {len(found.problems) - LISTED} more" if len(found.problems) > LISTED else ""
        raise BadInput(
            f"{folder}: {'; '.join(found.problems[:LISTED])}{more}; "
            "remove these files, and run the plan again to make them"
        )
    if not as_json:
        console.out(f"{folder}: {found.shards} shards and the pixels of {found.images} images are as they were written")


def _only(plan: Plan, number: int, target: Path, as_json: bool) -> None:
    from sian.production import make_image, write_image

    made = make_image(plan, number)
    written = write_image(made, target)
    if as_json:
        console.print_json(made.record | {"reason": made.reason, "written": written})
        return
    refused = f"; the gate refuses it: {made.reason}" if made.reason else ""
    console.out(f"{target}: image {number} of {plan.name}, {made.item.style} (synthetic; not for diagnosis){refused}")


def _say(outcome: Outcome, as_json: bool) -> None:
    from sian.errors import BadInput

    if as_json:
        console.print_json(_as_json(outcome))
    else:
        left_out = f", {len(outcome.rejected)} refused by the gate" if outcome.rejected else ""
        console.out(
            f"{outcome.folder}: {outcome.kept} images in {outcome.shards} shards{left_out} "
            f"({outcome.shards_made} shards made now; synthetic, not for diagnosis)"
        )
        for record in islice(outcome.rejected, LISTED):
            console.say(f"refused {record['id']}: {record['reason']}")
        if len(outcome.rejected) > LISTED:
            console.say(f"and {len(outcome.rejected) - LISTED} more; manifest.jsonl lists all")
    if outcome.failed:
        listed = "; ".join(f"image {one['number']}: {one['reason']}" for one in islice(outcome.failed, LISTED))
        more = f"; and {len(outcome.failed) - LISTED} more" if len(outcome.failed) > LISTED else ""
        raise BadInput(f"{len(outcome.failed)} images could not be made, each tried twice: {listed}{more}")


def _as_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "format": "sian.dataset-run/1",
        "folder": outcome.folder,
        "images": outcome.images,
        "kept": outcome.kept,
        "rejected": [{"id": one["id"], "number": one["plan"], "reason": one["reason"]} for one in outcome.rejected],
        "failed": list(outcome.failed),
        "shards": outcome.shards,
        "shards_made": outcome.shards_made,
        "made": outcome.made,
        "seconds": outcome.seconds,
    }
