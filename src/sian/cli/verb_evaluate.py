"""``sian evaluate``: images against real ones and masks, or a model by the reconstruction protocol."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sian.cli import console
from sian.cli.arguments import parse_aliases

if TYPE_CHECKING:
    from sian.data.dataset import Dataset
    from sian.evaluation.collection import Collection
    from sian.evaluation.evaluate import Evaluation, Tools
    from sian.evaluation.reconstruction import Reconstruction

PROTOCOLS = ("folders", "reconstruction")
NAMED = 8  # names without a partner that are printed; the report has all


def evaluate(
    fake: Annotated[
        Path | None, typer.Argument(metavar="FAKE", help="Folder of images to judge, or a data set.")
    ] = None,
    real: Annotated[Path | None, typer.Option(help="Folder of real images, or a data set.")] = None,
    masks: Annotated[Path | None, typer.Option(help="Instance masks by the images' names, or a data set.")] = None,
    segmenter: Annotated[
        Path | None, typer.Option(metavar="MODEL", help="Segments the images; 'bundled' is the one that comes along.")
    ] = None,
    segmented: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Masks that any other segmenter found in the images, instead of one."),
    ] = None,
    segmented_real: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The same of the real images, for the floor.")
    ] = None,
    judge: Annotated[
        str | None, typer.Option(metavar="NAME", help="What the report calls that segmenter; the folder's name.")
    ] = None,
    floor: Annotated[Path | None, typer.Option(help="More real images, whose FID and KID are the floor.")] = None,
    protocol: Annotated[str, typer.Option(help="folders, or reconstruction (of a model on a data set).")] = "folders",
    model: Annotated[Path | None, typer.Option(help="reconstruction: the model file; the bundled one.")] = None,
    data: Annotated[Path | None, typer.Option(help="reconstruction, --memorisation: the data set.")] = None,
    split: Annotated[str | None, typer.Option(help="Of data sets: this split only; reconstruction: test.")] = None,
    style: Annotated[str, typer.Option(help="reconstruction: paired, sibling, exemplar or prior.")] = "paired",
    noise: Annotated[bool, typer.Option("--noise/--no-noise", help="reconstruction: paint with noise.")] = False,
    fit: Annotated[
        bool, typer.Option("--fit/--no-fit", help="reconstruction: fit styles as `sian style` does; seconds a window.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of drawn styles and of the noise.")] = 0,
    alias: Annotated[
        list[str] | None,
        typer.Option(metavar="NEW=ORGAN", help="reconstruction: a test organ's training name, e.g. lung=liver."),
    ] = None,
    save_images: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="reconstruction: keep the paintings.")
    ] = None,
    memorisation: Annotated[bool, typer.Option(help="Look for copies of training images (needs --data).")] = False,
    blind: Annotated[
        Path | None, typer.Option(metavar="PAGE.html", help="Write a page on which people guess what is real.")
    ] = None,
    fid: Annotated[bool, typer.Option("--fid/--no-fid", help="Measure FID and KID (needs Inception).")] = True,
    weights: Annotated[Path | None, typer.Option(metavar="DIR", help="Where inception_fid.safetensors lies.")] = None,
    trust_weights: Annotated[bool, typer.Option(help="Take weights of an unknown SHA-256.")] = False,
    cache: Annotated[Path | None, typer.Option(metavar="DIR", help="Where real features are kept.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores if not given.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="REPORT", help="Folder.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Measure FID, KID, SSIM and mask metrics, with the floor beside each number.

    FID and KID need no pairs. SSIM pairs images with real ones by name, the mask metrics pair what a
    segmenter sees on an image with the mask of its name.
    """
    from sian.errors import BadInput, nearest
    from sian.evaluation.report import check_target, write_report
    from sian.files.locks import check_writable

    if protocol not in PROTOCOLS:
        raise BadInput(f"--protocol {protocol!r}: no such protocol{nearest(protocol, PROTOCOLS)}")
    if output is None and not as_json:
        raise typer.BadParameter("give -o REPORT, --json or both")
    if threads:
        import torch

        torch.set_num_threads(threads)
    if output is not None:
        check_target(output)
    for place, is_folder in ((blind, False), (save_images, True)):
        if place is not None:
            check_writable(place, is_folder)
    if memorisation and split == "train":
        raise BadInput("--memorisation: needs held-out real windows, found the split 'train'; add --split test")
    if memorisation and (data is None or not fid):
        raise BadInput("--memorisation: needs the data set that was trained on and Inception; add --data DATASET")
    if protocol == "folders":
        _only_folders(fake, real)
    elif data is None:
        raise BadInput("--protocol reconstruction: needs a data set to paint again; add --data DATASET")
    if fit and (protocol != "reconstruction" or segmenter is None or style == "prior"):
        raise BadInput(
            "--fit: fits styles to reference images whose nuclei a segmenter finds; expected --protocol "
            "reconstruction, --segmenter MODEL (e.g. bundled) and a --style other than prior"
        )
    if segmented is not None and segmenter is not None:
        raise BadInput("--segmented: holds what a segmenter found, and --segmenter is another; leave one of them out")
    if segmented is None and (segmented_real is not None or judge is not None):
        raise BadInput("--segmented-real, --judge: belong to --segmented FOLDER, found none; add it")
    aliases = parse_aliases(alias)
    dataset = _opened(data, split or "test")
    if segmented is not None and protocol == "folders" and masks is None:
        raise BadInput("--segmented: needs the masks that were painted to compare with; add --masks MASKS")
    images = (fake, real) if protocol == "folders" else (dataset, dataset)
    found, found_real = (_segmented(f, of, split) for f, of in zip((segmented, segmented_real), images, strict=True))
    tools = _tools(segmenter, fid, weights, trust_weights, cache, device)
    inputs = _inputs(segmenter)
    if found is not None:
        inputs = {"segmenter": {"name": judge or Path(found.label).name, **found.describe()}}
    if protocol == "reconstruction":
        assert dataset is not None  # noqa: S101 - checked above, for the type checker
        made, inputs, text = _painted(
            dataset, model, device, split or "test", style, noise, seed, aliases, inputs, tools if fit else None
        )
        finished = _measured(made, tools, found, found_real, inputs, noise, fit)
        if save_images is not None:
            _save(made, text, save_images)
    else:
        finished = _compared(fake, real, masks, found, found_real, floor, split, tools, inputs)
    if memorisation and dataset is not None:
        finished.result["memorisation"] = _screened(finished, dataset, split or "test", tools)
    if output is not None:
        console.say(f"report: {write_report(finished, output)}")
    if blind is not None:
        from sian.evaluation.blind import IMAGES, blind_page
        from sian.files import write_text

        shown, others = finished.collections["fake"], finished.collections["real"]
        write_text(blind, blind_page(shown, others, min(IMAGES, len(shown), len(others)), seed))
        console.say(f"blind test: {blind}")
    if as_json:
        console.print_json(finished.result)
    else:
        console.out(summary(finished.result))


def summary(result: dict[str, Any]) -> str:
    """The numbers with their floors as lines of text."""
    lines = [f"{'':8}{'measured':>18}{'floor':>18}"]
    for name, value in result["metrics"].items():
        if value is not None:
            lines.append(f"{name:8}{_text(value):>18}{_text(result['floors'].get(name)):>18}")
    lines += [f"n = {result['n']} against {result['n_real']} real images"]
    lines += _unpaired(result["unpaired"])
    lines += [f"note: {sentence}" for sentence in result["warnings"]]
    copies = result.get("memorisation")
    lines += [f"possible copies of training images: {len(copies['flagged'])} of {copies['n']}"] if copies else []
    return "\n".join(lines)


def _unpaired(entries: list[dict[str, str]]) -> list[str]:
    """One line for each pair of sides that lack partners, naming the first few."""
    sides: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        sides.setdefault((entry["in"], entry["not_in"]), []).append(entry["name"])
    lines = []
    for (found, missing), names in sides.items():
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        lines.append(f"in {found} but not in {missing}: {', '.join(names[:NAMED])}{more}")
    return lines


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return f"{value['mean']:.4f} +- {value['std']:.4f}"
    return f"{value:.3f}"


def _only_folders(fake: Path | None, real: Path | None) -> None:
    if fake is None or real is None:
        missing = "FAKE" if fake is None else "--real"
        raise typer.BadParameter(f"{missing} is missing: sian evaluate FAKE --real REAL -o REPORT")


def _opened(data: Path | None, split: str) -> Dataset | None:
    from sian.data import open_dataset

    if data is None:
        return None
    opened = open_dataset(data)
    opened.split(split)  # an unknown split is said before anything is painted
    return opened


def _tools(
    segmenter: Path | None, fid: bool, weights: Path | None, trust: bool, cache: Path | None, device: str
) -> Tools:
    from sian.evaluation.evaluate import Tools
    from sian.evaluation.features import InceptionFeatures

    segment = None
    if segmenter is not None:
        from sian import segmentation

        segment = segmentation.load(segmenter, device).predict
    extractor = InceptionFeatures.load(weights, trust=trust, device=device) if fid else None
    return Tools(extractor, segment, cache)


def _inputs(segmenter: Path | None) -> dict[str, Any]:
    from sian.files import sha256_file

    if segmenter is None:
        return {}
    from sian.segmentation.segmenter import BUNDLED

    path = BUNDLED if str(segmenter) == "bundled" else segmenter
    return {"segmenter": {"path": str(segmenter), "sha256": sha256_file(path)}}


def _segmented(folder: Path | None, of: Path | Dataset | None, split: str | None) -> Collection | None:
    """Another segmenter's masks of a folder's images, or of a data set's windows: checked before anything is done."""
    from sian.evaluation.collection import open_images
    from sian.evaluation.scenes import window_sizes
    from sian.evaluation.segmented import open_segmented

    if folder is None or of is None:
        return None
    if not isinstance(of, Path):
        return open_segmented(folder, window_sizes(of.split(split or "test")), "window")
    images = open_images(of, _split_of(of, split))
    return open_segmented(folder, {name: images.read(name).shape[:2] for name in images.names})


def _compared(
    fake: Path | None,
    real: Path | None,
    masks: Path | None,
    predicted: Collection | None,
    predicted_real: Collection | None,
    floor: Path | None,
    split: str | None,
    tools: Tools,
    inputs: dict[str, Any],
) -> Evaluation:
    from sian.evaluation.collection import open_images, open_masks
    from sian.evaluation.evaluate import evaluate as compare

    assert fake is not None  # noqa: S101 - checked by _only_folders
    assert real is not None  # noqa: S101
    with console.progress("measuring") as report:
        return compare(
            open_images(fake, _split_of(fake, split)),
            open_images(real, _split_of(real, split)),
            open_masks(masks, _split_of(masks, split)) if masks else None,
            tools=tools,
            predicted=predicted,
            predicted_real=predicted_real,
            train=open_images(floor) if floor else None,
            settings={"inputs": inputs},
            report=report,
        )


def _split_of(path: Path, split: str | None) -> str | None:
    """The split, for a data set; a plain folder has none."""
    return split if (path / "dataset.json").is_file() else None


def _painted(
    data: Dataset,
    path: Path | None,
    device: str,
    split: str,
    style: str,
    noise: bool,
    seed: int,
    aliases: dict[str, str],
    inputs: dict[str, Any],
    fitting: Tools | None,
) -> tuple[Reconstruction, dict[str, Any], dict[str, str]]:
    """The paintings, what they were made from, and what each of them says of itself."""
    from sian.evaluation.reconstruction import model_painter, reconstruct
    from sian.synthesis import load
    from sian.synthesis.labels import png_text

    model = load(path, device)
    aliases = {**model.styles.aliases, **aliases}
    with console.progress("painting", "windows") as report:
        made = reconstruct(
            model_painter(model, float(noise), fitting.segmenter if fitting else None),
            data,
            split=split,
            style=style,
            bank=model.styles,
            aliases=aliases,
            seed=seed,
            label=str(path or "the bundled model"),
            report=report,
        )
    inputs = {"model": {"path": str(path or "bundled"), "sha256": model.sha256}, **inputs}
    return made, inputs, png_text(model, None, seed)


def _measured(
    made: Reconstruction,
    tools: Tools,
    predicted: Collection | None,
    predicted_real: Collection | None,
    inputs: dict[str, Any],
    noise: bool,
    fit: bool,
) -> Evaluation:
    from sian.evaluation.reconstruction import evaluate_reconstruction

    with console.progress("measuring") as report:
        return evaluate_reconstruction(
            made,
            tools,
            predicted=predicted,
            predicted_real=predicted_real,
            inputs=inputs,
            noise=float(noise),
            fitted=fit,
            report=report,
        )


def _save(made: Reconstruction, text: dict[str, str], folder: Path) -> None:
    from sian.files import write_png

    for name in made.fake.names:
        write_png(folder / f"{name}.png", made.fake.read(name), {**text, "Style": made.references[name], "Mask": name})


def _screened(finished: Evaluation, data: Dataset, split: str, tools: Tools) -> dict[str, Any]:
    from sian.errors import BadInput
    from sian.evaluation.memorisation import screen
    from sian.evaluation.scenes import window_collection

    if tools.extractor is None:
        raise BadInput("--memorisation: needs Inception; leave --no-fid out")
    training = window_collection(data.split("train"), dense=True)
    with console.progress("looking for copies") as report:
        return screen(
            finished.collections["fake"],
            training,
            window_collection(data.split(split)),
            tools.extractor,
            cache=tools.cache,
            report=report,
        )
