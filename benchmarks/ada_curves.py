"""The runs of ada.yaml as two pictures in one: Frechet distance, and how well ADA's controller holds its target.

    python benchmarks/ada_curves.py runs/ada --out benchmarks/pictures/ada.png

Prints, for each run with ADA, the mean of r_t and the range of p in its second half (arXiv:2006.10738, section 3.1).
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ganzoo.metrics.stamp import read
from ganzoo.record import Record

TARGET = 0.6
SMOOTHED = 20  # logged values
P, R = "discriminator/augment_p", "discriminator/augment_r"
COLOURS = {False: "tab:blue", True: "tab:red"}  # with ADA or without


def controller(run: Path) -> np.ndarray | None:
    """images_seen, p and r_t each time that they were logged, [3, times]; None if nothing adapts itself."""
    rows = [[row["images_seen"], row[P], row[R]] for row in Record(run / "version_0").numbers() if P in row]
    return np.array(rows).T if rows else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    distance, reached, strength = figure.subplots(1, 3)
    for scores in sorted(given.runs.glob("*/version_0/scores.jsonl")):
        run = scores.parent.parent
        found = controller(run)
        adaptive = found is not None
        points = [(s.origin.images_seen, s.value) for s in read(scores) if s.protocol.metric.startswith("fd")]
        label = ("with ADA" if adaptive else "without") if run.name.endswith("-0") else None
        distance.plot(*zip(*points, strict=True), color=COLOURS[adaptive], marker=".", label=label)
        if found is None:
            continue
        seen, p, r = found
        reached.plot(
            seen[SMOOTHED - 1 :], np.convolve(r, np.ones(SMOOTHED) / SMOOTHED, "valid"), color=COLOURS[True], linewidth=1
        )
        strength.plot(seen, p, color=COLOURS[True], linewidth=1)
        late = seen > seen.max() / 2
        print(f"{run.name}: r_t {r[late].mean():.3f}, p {p[late].min():.2f} to {p[late].max():.2f}")
    reached.axhline(TARGET, color="0.6", linestyle="--", label="target")
    reached.set(title=f"r_t, mean of {SMOOTHED} logged values", ylim=(0, 1))
    strength.set(title="p", ylim=(0, None))
    distance.set(title="fd_effnet_lite0", ylim=(0, None))
    for axes in (distance, reached, strength):
        axes.set_xlabel("images seen")
        axes.xaxis.set_major_formatter(lambda x, _: f"{x / 1000:,.0f}k")
    distance.legend()
    reached.legend()
    given.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(given.out, dpi=110)


if __name__ == "__main__":
    main()
