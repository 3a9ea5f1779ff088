"""PSNR and SSIM against slow references, bicubic resizing against MATLAB's own results, and both against the papers' tables."""

import numpy as np
import pytest
import torch
from conftest import REAL_DATA
from PIL import Image
from scipy.ndimage import correlate

from ganzoo.data.bicubic import enlarged, resized, shrunk
from ganzoo.metrics.fidelity import luma, psnr, ssim


def image(*shape: int, seed: int = 0) -> torch.Tensor:
    """Levels of 8 bits in [-1, 1]."""
    levels = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed))
    return levels.float() / 127.5 - 1


def keys(x: float, a: float = -0.5) -> float:
    """Keys 1981, eq. 4."""
    x = abs(x)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def slowly(line: np.ndarray, size: int) -> np.ndarray:
    """One line by imresize's formulas, pixel by pixel."""
    n, out = len(line), np.zeros(size)
    scale = size / n
    stretch = min(1.0, scale)
    for i in range(size):
        centre = (i + 0.5) / scale - 0.5
        near = range(int(np.floor(centre - 2 / stretch)), int(np.ceil(centre + 2 / stretch)) + 1)
        weights = [keys((centre - j) * stretch) for j in near]
        out[i] = sum(w * line[min(max(j, 0), n - 1)] for w, j in zip(weights, near, strict=True)) / sum(weights)
    return out


@pytest.mark.parametrize("size", [4, 6, 24, 48])
def test_bicubic_is_imresizes_formula(size):
    line = np.random.default_rng(0).uniform(0, 255, 12)
    got = resized(torch.tensor(line).view(1, 1, 1, 12), -1, size)
    np.testing.assert_allclose(got.flatten().numpy(), slowly(line, size), atol=1e-3)


def test_small_and_flat_images_are_resized_too():
    flat = torch.full((2, 3, 4, 8), 200, dtype=torch.uint8)
    assert torch.equal(shrunk(flat, 4), flat[..., :1, :2])
    assert torch.allclose(enlarged(flat[..., :1, :1], 4), torch.full((2, 3, 4, 4), 200.0))
    with pytest.raises(ValueError, match="8 x 4 pixels cannot be shrunk 3 times"):
        shrunk(flat, 3)


def test_luma_is_matlabs():
    """White 235, black 16, and pure colours by BT.601's coefficients."""
    colours = torch.tensor([[1.0, 1, 1], [-1, -1, -1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])[:, :, None, None]
    expected = [235.0, 16.0, 16 + 65.481, 16 + 128.553, 16 + 24.966]
    np.testing.assert_allclose(luma(colours).flatten().numpy(), expected, atol=1e-9)
    assert luma(torch.ones(1, 1, 2, 2)).max() == 255, "grey is left as it is"


def test_psnr_by_hand():
    """One level of grey everywhere is 10 log10(255^2) dB; a border does not count."""
    truth = torch.zeros(1, 1, 8, 8)
    other = truth + 1 / 127.5
    assert psnr(other, truth).item() == pytest.approx(48.1308, abs=1e-4)
    spoilt = truth.clone()
    spoilt[..., 0, :] = 1
    assert psnr(spoilt, truth, border=1).item() == float("inf")
    with pytest.raises(ValueError, match="leaves nothing"):
        psnr(truth, truth, border=4)


def slow_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """As scikit-image computes it with gaussian_weights, use_sample_covariance=False and data_range=255."""
    at = np.arange(11) - 5
    line = np.exp(-(at**2) / 4.5)
    window = np.outer(line, line) / line.sum() ** 2
    of = lambda part: correlate(part, window)[5:-5, 5:-5]  # noqa: E731
    mx, my = of(x), of(y)
    vx, vy, vxy = of(x * x) - mx**2, of(y * y) - my**2, of(x * y) - mx * my
    c1, c2 = 2.55**2, 7.65**2
    return (((2 * mx * my + c1) * (2 * vxy + c2)) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean()


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_is_the_slow_references(channels):
    x, y = image(2, channels, 20, 17), image(2, channels, 20, 17, seed=1)
    y = 0.5 * x + 0.5 * y
    got = ssim(x, y, border=2)
    for i in range(2):
        a, b = (luma(part)[i, 0, 2:-2, 2:-2].numpy() for part in (x, y))
        assert got[i].item() == pytest.approx(slow_ssim(a, b), abs=1e-10)
    assert torch.allclose(ssim(x, x), torch.ones(2, dtype=torch.float64))
    with pytest.raises(ValueError, match="SSIM needs 11 pixels"):
        ssim(x, y, border=4)


# --- the papers' sets, where they are ---


def pair(path) -> tuple[torch.Tensor, torch.Tensor]:
    """MATLAB's x4 small image and the true one, uint8 [1, 3, h, w] and [1, 3, 4 h, 4 w]."""
    low = path.parent.parent / "LRx4" / path.name
    return tuple(torch.from_numpy(np.array(Image.open(p).convert("RGB"))).permute(2, 0, 1)[None] for p in (low, path))  # type: ignore[return-value]


def the(name: str) -> list:
    files = sorted((REAL_DATA / "sr" / name / "HR").glob("*.png"))
    if not files:
        pytest.skip(f"no {name} here")
    return files


@pytest.mark.parametrize("name", ["Set5", "Set14"])
def test_small_images_are_matlabs_bit_for_bit(name):
    for path in the(name):
        low, high = pair(path)
        assert torch.equal(shrunk(high, 4), low), path.name


@pytest.mark.parametrize(("name", "decibel", "similarity"), [("Set5", (28.37, 28.47), 0.8104), ("Set14", (26.0, 26.1), 0.7027)])
def test_bicubic_reaches_the_papers_numbers(name, decibel, similarity):
    """28.42 dB and 0.8104, 26.00 dB and 0.7027 in the tables (e.g. VDSR's and EDSR's)."""
    found = []
    for path in the(name):
        low, high = (part.float() / 127.5 - 1 for part in pair(path))
        upscaled = enlarged(low, 4)
        found.append((psnr(upscaled, high, 4).item(), ssim(upscaled, high, 4).item()))
    mean = np.mean(found, axis=0)
    assert decibel[0] <= mean[0] <= decibel[1]
    assert mean[1] == pytest.approx(similarity, abs=0.01)
