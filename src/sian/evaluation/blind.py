"""A blind test for people: one self-contained page that shows real and painted images unlabelled and counts.

What an expert cannot tell apart is what no metric here measures. The page needs no network and sends nothing anywhere.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sian import seeds
from sian.errors import BadInput
from sian.evaluation.pictures import data_uri

if TYPE_CHECKING:
    from sian.evaluation.collection import Collection

IMAGES = 40  # half of them real; 26 or more right answers happen by chance in one case of 25
SIDE = 512  # px; larger images are made smaller, both kinds alike


def choose(fake: Collection, real: Collection, images: int = IMAGES, seed: int = 0) -> list[tuple[str, bool]]:
    """The names shown, in their order, each with whether it is real: half and half.

    No mask is shown twice: a real window and its own repainting side by side would give the answer away.

    Args:
        fake: painted images.
        real: real ones.
        images: how many in all, even.
        seed: of the choice.

    Raises:
        BadInput: too few images of either kind.
    """
    half = images // 2
    random = seeds.generator(seed, "blind test")
    painted = [fake.names[i] for i in random.permutation(len(fake))[:half]]
    others = [name for name in real.names if name not in set(painted)]
    if half < 1 or len(painted) < half or len(others) < half:
        raise BadInput(
            f"a blind test of {images} images needs {half} painted and {half} other real ones, found {len(painted)} "
            f"and {len(others)}; ask for fewer"
        )
    shown = [(name, False) for name in painted]
    shown += [(others[i], True) for i in random.permutation(len(others))[:half]]
    return [shown[i] for i in random.permutation(len(shown))]


def blind_page(fake: Collection, real: Collection, images: int = IMAGES, seed: int = 0) -> str:
    """The page, as text; see `choose`."""
    shown = choose(fake, real, images, seed)
    pictures = [data_uri((real if is_real else fake).read(name), SIDE) for name, is_real in shown]
    data = json.dumps({"pictures": pictures, "real": [int(is_real) for _, is_real in shown]})
    return PAGE.replace("{data}", data)


PAGE = """\
<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Real or painted?</title><style>
body { font: 16px/1.5 system-ui, sans-serif; color: #1c1b22; margin: 0 auto; max-width: 720px; padding: 24px 20px; }
img { width: min(512px, 100%); display: block; margin: 12px 0; border: 1px solid #e3e0e8; }
button { font: inherit; padding: 8px 28px; margin-right: 10px; border: 1px solid #7a2e72; border-radius: 6px;
  background: #fff; color: #7a2e72; cursor: pointer; } button:hover { background: #f6eef5; }
.quiet { color: #67646f; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(120px, 1fr)); gap: 8px; }
figure { margin: 0; } figure img { width: 100%; margin: 0; } figcaption { font-size: 12px; }
.wrong figcaption { color: #b00020; }
</style></head><body><h1>Real or painted?</h1><main id="main"></main><script>
const data = {data};
const main = document.getElementById("main"), n = data.pictures.length, answers = [];
const word = real => real ? "real" : "painted";
function show() {
  if (answers.length === n) return finish();
  main.innerHTML = `<p class="quiet">Image ${answers.length + 1} of ${n}. Keys: R and P. Half of all are real.</p>
    <img alt="tissue" src="${data.pictures[answers.length]}">
    <button id="r">real</button><button id="p">painted</button>`;
  document.getElementById("r").onclick = () => answer(1);
  document.getElementById("p").onclick = () => answer(0);
}
function answer(real) { if (answers.length < n) { answers.push(real); show(); } }
document.addEventListener("keydown", e => { if (e.key === "r") answer(1); if (e.key === "p") answer(0); });
function wilson(k, n) {
  const z = 1.96, p = k / n, c = (p + z * z / (2 * n)) / (1 + z * z / n);
  const h = z * Math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n);
  return [c - h, c + h].map(x => (100 * x).toFixed(0));
}
function finish() {
  const right = answers.filter((a, i) => a === data.real[i]).length, [low, high] = wilson(right, n);
  const fooled = answers.filter((a, i) => a === 1 && !data.real[i]).length, painted = data.real.filter(r => !r).length;
  const verdict = `<p><b>${right} of ${n} right</b> (${(100 * right / n).toFixed(0)} %; 95 % interval
    ${low} to ${high} %; guessing gives 50 %). ${fooled} of ${painted} painted images were taken for real.</p>`;
  const figures = data.pictures.map((src, i) => `<figure class="${answers[i] === data.real[i] ? "" : "wrong"}">
    <img alt="" src="${src}">
    <figcaption>${word(data.real[i])}, you said ${word(answers[i])}</figcaption></figure>`);
  main.innerHTML = `${verdict}<div class="grid">${figures.join("")}</div>`;
}
show();
</script></body></html>
"""
