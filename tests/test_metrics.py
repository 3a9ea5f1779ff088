"""Scores from features: against torch-fidelity and torchmetrics, closed forms, brute force, and repeated draws."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric
from torchmetrics.image.fid import _compute_fid

from ganzoo.metrics.frechet import (
    Moments,
    Reference,
    congruent,
    frechet_distance,
    frechet_standard_error,
    intra_frechet_distance,
    moments_of,
)
from ganzoo.metrics.inception_score import inception_score
from ganzoo.metrics.kernel import kernel_distance
from ganzoo.metrics.neighbours import memorisation, nearest_distance, nearest_others, neighbourhood
from ganzoo.metrics.score import mean_score

torch.set_num_threads(1)


def normal(n: int, d: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Independent standard normal features [n, d]."""
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def mixed(n: int, d: int, seed: int, by: int, shift: float = 0.0) -> Tensor:
    """Correlated normal features [n, d] whose covariance `by` decides."""
    return normal(n, d, seed) @ normal(d, d, by) / d**0.5 + shift


def distance_of(real: Tensor, fake: Tensor) -> float:
    return frechet_distance(Reference.of(moments_of(real)), moments_of(fake))


def torch_fidelity_distance(real: Tensor, fake: Tensor) -> float:
    statistics = [fid_features_to_statistics(features) for features in (fake, real)]
    return fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]


def exact_distance(real: Tensor, fake: Tensor) -> float:
    """By the singular values of the product of the centred features: slow, and exact at any rank."""
    x, y = real.double() - real.double().mean(0), fake.double() - fake.double().mean(0)
    cross = torch.linalg.svdvals(x @ y.T).sum() / math.sqrt((len(x) - 1) * (len(y) - 1))
    traces = x.square().sum() / (len(x) - 1) + y.square().sum() / (len(y) - 1)
    return ((real.double().mean(0) - fake.double().mean(0)).square().sum() + traces - 2 * cross).item()


def spread(values: list[float]) -> float:
    return float(np.std(values, ddof=1))


# --- moments ---


@pytest.mark.parametrize(
    ("mean", "dtype"), [(0.0, torch.float32), (1e4, torch.float32), (1e4, torch.float64), (1e7, torch.float64)]
)
def test_moments_streamed_in_uneven_batches(mean, dtype):
    """Sums of squares would be wrong by 1e-8 at a mean of 1e4, by 1e-2 at 1e7."""
    features = (mixed(700, 16, 0, 1) + mean).to(dtype)
    moments = Moments(16)
    for batch in features.split([1, 0, 2, 300, 17, 380]):
        moments.update(batch)
    assert moments.n == 700
    np.testing.assert_allclose(moments.mean, features.double().numpy().mean(0), rtol=1e-14, atol=1e-14)
    expected = np.cov(features.double().numpy(), rowvar=False)
    np.testing.assert_allclose(moments.covariance, expected, rtol=0, atol=1e-14 + 1e-16 * mean)


def test_moments_are_saved_as_plain_tensors(tmp_path):
    features = normal(50, 8, 0)
    torch.save(moments_of(features[:30]).state(), tmp_path / "moments.pt")
    moments = Moments.of(torch.load(tmp_path / "moments.pt", weights_only=True))
    moments.update(features[30:])
    torch.testing.assert_close(moments.covariance, features.T.cov(), rtol=1e-13, atol=1e-14)


def test_moments_keep_no_graph():
    moments = moments_of(normal(5, 3, 0).requires_grad_())
    assert not moments.scatter.requires_grad


RANK = """
import sys
import torch
import torch.distributed as dist
from ganzoo.metrics.frechet import Moments

rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
features = torch.load(f"{folder}/features.pt")
for name, sizes in {"uneven": [437, 63], "empty": [0, 500], "nothing": [0, 0]}.items():
    moments = Moments(16)
    for batch in features[:sum(sizes)].split(sizes)[rank].split(100):
        moments.update(batch)
    moments.reduce()
    torch.save(moments.state(), f"{folder}/{name}{rank}.pt")
dist.destroy_process_group()
"""


def test_moments_of_two_processes(tmp_path):
    features = mixed(500, 16, 0, 1) + 1e4
    torch.save(features, tmp_path / "features.pt")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    ranks = [subprocess.Popen([sys.executable, "-c", RANK, str(rank), tmp_path], env=environment) for rank in (0, 1)]
    assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]
    whole = moments_of(features)
    for rank in (0, 1):
        for name in ("uneven", "empty"):
            moments = Moments.of(torch.load(tmp_path / f"{name}{rank}.pt", weights_only=True))
            assert moments.n == 500
            torch.testing.assert_close(moments.mean, whole.mean, rtol=1e-15, atol=0)
            torch.testing.assert_close(moments.covariance, whole.covariance, rtol=1e-12, atol=1e-12)
        nothing = Moments.of(torch.load(tmp_path / f"nothing{rank}.pt", weights_only=True))
        assert nothing.n == 0
        assert not nothing.scatter.any()


def test_reduce_of_a_single_process_changes_nothing():
    moments, whole = moments_of(normal(9, 3, 0)), moments_of(normal(9, 3, 0))
    moments.reduce()
    assert moments.n == 9
    assert torch.equal(moments.scatter, whole.scatter)


# --- Frechet distance ---


def test_frechet_distance_is_torch_fidelitys_and_torchmetrics():
    real, fake = mixed(900, 48, 0, 1), mixed(700, 48, 2, 3, shift=0.1)
    value = distance_of(real, fake)
    assert value == pytest.approx(torch_fidelity_distance(real, fake), rel=1e-10)
    a, b = moments_of(real), moments_of(fake)
    assert value == pytest.approx(_compute_fid(a.mean, a.covariance, b.mean, b.covariance).item(), rel=1e-10)
    assert value == pytest.approx(exact_distance(real, fake), rel=1e-12)


def test_frechet_distance_of_diagonal_gaussians():
    """||m1 - m2||^2 + sum (s1 - s2)^2: 9 + 16 + 1 + 4."""

    def gaussian(mean: list[float], deviation: list[float]) -> Moments:
        scatter = torch.tensor(deviation, dtype=torch.float64).square().diag() * 99
        return Moments.of({"n": torch.tensor(100), "mean": torch.tensor(mean, dtype=torch.float64), "scatter": scatter})

    reference = Reference.of(gaussian([3.0, 0.0], [1.0, 5.0]))
    assert frechet_distance(reference, gaussian([0.0, 4.0], [2.0, 3.0])) == pytest.approx(30, rel=1e-14)
    assert frechet_distance(reference, gaussian([0.0, 4.0], [2.0, 0.0])) == pytest.approx(9 + 16 + 1 + 25, rel=1e-14)


@pytest.mark.parametrize("n_real", [2, 20, 64, 65, 300])
@pytest.mark.parametrize("n_fake", [2, 30, 64, 65, 300])
def test_frechet_distance_at_any_rank(n_real, n_fake):
    """Covariances of 64 dimensions, mostly singular, by every route."""
    real, fake = mixed(n_real, 64, 0, 1), mixed(n_fake, 64, 2, 3)
    exact = exact_distance(real, fake)
    for reference in (Reference.of(moments_of(real)), Reference.of(moments_of(real), real)):
        assert frechet_distance(reference, moments_of(fake)) == pytest.approx(exact, rel=1e-11)
        assert frechet_distance(reference, moments_of(fake), fake) == pytest.approx(exact, rel=1e-11)


def test_frechet_distance_with_dead_and_copied_features():
    """Singular although n > d, so that Cholesky's factor cannot be trusted."""
    real, fake = mixed(400, 32, 0, 1), mixed(300, 32, 2, 3)
    for features in (real, fake):
        features[:, 5:9] = 0
        features[:, 20:24] = features[:, :4]
    assert Reference.of(moments_of(real)).root.shape == (32, 24)
    assert distance_of(real, fake) == pytest.approx(exact_distance(real, fake), rel=1e-11)


def test_frechet_distance_of_collapsed_samples():
    """A point against a Gaussian: ||m1 - m2||^2 + tr S1, from either side; two points: the former alone."""
    real, point, other = mixed(300, 16, 0, 1), torch.ones(50, 16), torch.zeros(50, 16)
    expected = (real.mean(0) - 1).square().sum().item() + real.T.cov().trace().item()
    assert distance_of(real, point) == pytest.approx(expected, rel=1e-12)
    assert distance_of(point, real) == pytest.approx(expected, rel=1e-12)
    assert distance_of(point, other) == pytest.approx(16, rel=1e-12)


def test_frechet_distance_to_itself_is_zero():
    for seed in range(10):  # rounding falls to either side of it
        real = mixed(300, 32, seed, 1)
        assert 0 <= distance_of(real, real) < 1e-12


@pytest.mark.parametrize("n", [20, 48, 49, 300])
def test_the_root_has_the_covariances_rank_and_is_zero_above_its_diagonal(n):
    """Both Cholesky's and that of the eigenvectors. For n = 48 Cholesky succeeds every other time, with a pivot of 1e-16."""
    for seed in range(10):
        moments = moments_of(mixed(n, 48, seed, 20))
        root = Reference.of(moments).root
        assert root.shape == (48, min(n - 1, 48))
        assert not root.triu(1).any()
        torch.testing.assert_close(root @ root.T, moments.covariance, rtol=1e-12, atol=1e-13)


def test_the_product_by_blocks(monkeypatch):
    root, covariance = normal(50, 40, 0).tril(), normal(90, 50, 1).T.cov()
    for block in (7, 40, 256):
        monkeypatch.setattr("ganzoo.metrics.frechet.BLOCK", block)
        torch.testing.assert_close(
            congruent(root, covariance).tril(), (root.T @ covariance @ root).tril(), rtol=1e-12, atol=1e-12
        )


@pytest.mark.slow
@pytest.mark.parametrize("n_fake", [1000, 3000])
def test_frechet_distance_at_2048_dimensions(n_fake):
    """Eigenvalues over five decades, like Inception's; torch-fidelity is 1e-3 off where n < d."""
    scale = torch.logspace(0.5, -2, 2048, dtype=torch.float64)
    real, fake = (mixed(n, 2048, seed, 9) * scale for n, seed in ((3000, 0), (n_fake, 2)))
    reference, moments = Reference.of(moments_of(real)), moments_of(fake)
    value = frechet_distance(reference, moments)
    assert value == pytest.approx(exact_distance(real, fake), rel=1e-9)
    assert value == pytest.approx(frechet_distance(reference, moments, fake), rel=1e-9)
    assert value == pytest.approx(torch_fidelity_distance(real, fake), rel=1e-5 if n_fake < 2048 else 1e-8)


@pytest.mark.parametrize(
    ("d", "n", "shift", "mix"),
    [(8, 400, 0.3, 0.0), (8, 400, 0.0, 0.5), (16, 600, 0.2, 1.0), (16, 3000, 0.1, 0.5), (32, 24, 0.1, 0.5)],
)
def test_frechet_standard_error(d, n, shift, mix):
    """Of 150 draws of the fakes, the last case singular. The spread itself is known to 6 %."""
    reference = Reference.of(moments_of(mixed(4000, d, 0, 1)))
    values, errors = [], []
    for seed in range(150):
        fake = normal(n, d, 100 + seed) @ ((1 - mix) * normal(d, d, 1) + mix * normal(d, d, 2)) / d**0.5 + shift
        moments = moments_of(fake)
        values.append(frechet_distance(reference, moments))
        errors.append(frechet_standard_error(reference, moments, fake))
    assert np.mean(errors) == pytest.approx(spread(values), rel=0.15)


def test_frechet_standard_error_looks_at_5000_fakes():
    reference, fake = Reference.of(moments_of(mixed(400, 8, 0, 1))), mixed(20_000, 8, 2, 3, shift=0.2)
    moments = moments_of(fake)
    error = frechet_standard_error(reference, moments, fake)
    assert error == frechet_standard_error(reference, moments, fake[:5000])
    assert error == pytest.approx(frechet_standard_error(reference, moments_of(fake[:5000]), fake) / 2, rel=0.05)


# --- intra-class Frechet distance ---


def test_intra_frechet_distance_is_the_mean_over_classes():
    label = torch.arange(600) % 3
    real, fake = mixed(600, 16, 0, 1) + label[:, None], mixed(600, 16, 2, 3) - label[:, None]
    value, error = intra_frechet_distance(real, label, fake.flip(0), label.flip(0))
    classes = [(real[label == c], fake[label == c]) for c in range(3)]
    assert value == pytest.approx(np.mean([torch_fidelity_distance(*of) for of in classes]), rel=1e-10)
    errors = [frechet_standard_error(Reference.of(moments_of(x)), moments_of(y), y) for x, y in classes]
    assert error == pytest.approx(np.linalg.norm(errors) / 3, rel=1e-9)


def test_intra_frechet_distance_of_small_classes():
    label = torch.arange(60) % 3
    real, fake = mixed(60, 32, 0, 1), mixed(60, 32, 2, 3)
    exact = [exact_distance(real[label == c], fake[label == c]) for c in range(3)]
    assert intra_frechet_distance(real, label, fake, label).value == pytest.approx(np.mean(exact), rel=1e-10)


# --- kernel distance ---


@pytest.mark.parametrize(
    ("n_fake", "n_real", "subsets", "size"),
    [(150, 90, 20, 60), (150, 900, 4, 60), (900, 150, 4, 60), (900, 900, 3, 50), (1300, 1200, 2, 1150)],
)
def test_kernel_distance_is_torch_fidelitys(n_fake, n_real, subsets, size):
    """By both routes: all pairs at once, which pays where they are few, and subset by subset."""
    fake, real = mixed(n_fake, 24, 0, 1).relu(), mixed(n_real, 24, 2, 3).relu()
    theirs = kid_features_to_metric(fake, real, kid_subsets=subsets, kid_subset_size=size, verbose=False)
    ours = kernel_distance(fake, real, subsets=subsets, subset_size=size)
    assert ours.value == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-10)


def test_kernel_distance_of_float32_features():
    fake, real = mixed(1100, 64, 0, 1).relu().float(), mixed(1200, 64, 2, 3).relu().float()
    theirs = kid_features_to_metric(fake, real, kid_subsets=5, verbose=False)
    assert kernel_distance(fake, real, subsets=5).value == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-4)


def test_kernel_distance_by_hand():
    """d = 1, fakes 0 and 1, reals 2 and -1: k(0, 1) = 1, k(2, -1) = -1, and across 1, 1, 27 and 0."""
    fake, real = torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [-1.0]])
    score = kernel_distance(fake, real, subsets=3, subset_size=2)
    assert score.value == pytest.approx(1 - 1 - 2 * 29 / 4)
    assert score.error is None, "the subsets are all the same"


@pytest.mark.parametrize(("n", "size", "subsets"), [(400, 100, 40), (200, 100, 40), (130, 100, 40), (1000, 50, 4)])
def test_kernel_distance_standard_error(n, size, subsets):
    """Over 120 draws of both sets, also where a subset is much of all that there is, and subsets hardly differ."""
    values, variances = [], []
    for seed in range(120):
        fake, real = mixed(n, 8, 10 + seed, 1, shift=1), mixed(n, 8, 500 + seed, 1)
        value, error = kernel_distance(fake, real, subsets=subsets, subset_size=size)
        values.append(value)
        variances.append(error**2)
    assert math.sqrt(np.mean(variances)) == pytest.approx(spread(values), rel=0.15)


def test_kernel_distance_leaves_random_states_alone():
    np.random.seed(3)
    before, torch_before = np.random.get_state()[1].copy(), torch.get_rng_state()
    first = kernel_distance(mixed(80, 8, 0, 1), mixed(80, 8, 2, 3), subsets=4, subset_size=40)
    inception_score(mixed(80, 8, 0, 1))
    assert (np.random.get_state()[1] == before).all()
    assert torch.equal(torch.get_rng_state(), torch_before)
    np.random.seed(4)
    assert kernel_distance(mixed(80, 8, 0, 1), mixed(80, 8, 2, 3), subsets=4, subset_size=40) == first


# --- Inception score ---


@pytest.mark.parametrize(("n", "splits"), [(1000, 10), (997, 10), (40, 3)])
def test_inception_score_is_torch_fidelitys(n, splits):
    logits = mixed(n, 20, 0, 1).float() * 4
    theirs = isc_features_to_metric(logits, splits)
    value, error = inception_score(logits, splits=splits)
    assert value == pytest.approx(theirs["inception_score_mean"], rel=1e-10)
    assert error == pytest.approx(theirs["inception_score_std"] / math.sqrt(splits - 1), rel=1e-8)


def test_inception_score_by_hand():
    """As many as there are classes, where each sample is sure of one, all of them equally often; 1 where none says a thing."""
    assert inception_score(torch.zeros(50, 7)) == pytest.approx((1, 0))
    sure = torch.eye(4).repeat(500, 1) * 1e5  # probabilities that underflow to 0
    assert inception_score(sure).value == pytest.approx(4, rel=0.02)
    unused = torch.cat([sure, torch.full((2000, 1), -1e5)], dim=1)
    assert inception_score(unused).value == pytest.approx(inception_score(sure).value, rel=1e-12)


def test_inception_score_standard_error():
    scores = [inception_score(normal(600, 10, seed) * 3) for seed in range(150)]
    variance = np.mean([score.error**2 for score in scores])  # of ten parts an error is itself uncertain
    assert math.sqrt(variance) == pytest.approx(spread([score.value for score in scores]), rel=0.15)


# --- neighbours ---


def brute_force(fake: np.ndarray, real: np.ndarray, k: int, density_k: int) -> tuple[float, float, float, float]:
    """Precision, recall, density and coverage as the papers define them, from all distances."""

    def distances(x, y):
        return np.sqrt(((x[:, None] - y[None]) ** 2).sum(-1))

    across = distances(fake, real)
    ball = {k: np.sort(distances(real, real), axis=1)[:, k] for k in (k, density_k)}  # the 0-th is the sample itself
    fake_ball = np.sort(distances(fake, fake), axis=1)[:, k]
    return (
        (across <= ball[k]).any(1).mean(),
        (across <= fake_ball[:, None]).any(0).mean(),
        (across < ball[density_k]).sum() / (density_k * len(fake)),
        (across < ball[density_k]).any(0).mean(),
    )


@pytest.mark.parametrize(("n_fake", "n_real"), [(300, 500), (500, 200)])
def test_precision_and_recall_are_torch_fidelitys(n_fake, n_real):
    fake, real = mixed(n_fake, 16, 0, 1, shift=0.3), mixed(n_real, 16, 2, 1)
    theirs = prc_features_to_metric(fake, real, verbose=False)
    ours = neighbourhood(fake, real)
    assert 0.1 < ours.precision.value < 0.95
    assert ours.precision.value == pytest.approx(theirs["precision"], abs=1e-6)
    assert ours.recall.value == pytest.approx(theirs["recall"], abs=1e-6)
    by_float32 = prc_features_to_metric(fake.float(), real.float(), verbose=False)
    assert ours.recall.value == pytest.approx(by_float32["recall"], abs=1e-6)


@pytest.mark.parametrize(("k", "density_k"), [(3, 5), (5, 3), (1, 1)])
def test_neighbourhood_by_brute_force(k, density_k):
    fake, real = mixed(150, 4, 0, 1, shift=0.5), mixed(120, 4, 2, 3)
    ours = neighbourhood(fake, real, k=k, density_k=density_k)
    np.testing.assert_allclose([score.value for score in ours], brute_force(fake.numpy(), real.numpy(), k, density_k))


def test_neighbourhood_with_ties():
    """On a grid half of all samples lie on the rim of a ball: `<=` counts them, `<` does not. Integers have no rounding."""
    draw = torch.Generator().manual_seed(0)
    fake, real = (torch.randint(0, 12, (n, 2), generator=draw).unique(dim=0).float() + shift for n, shift in ((40, 0), (60, 3)))
    ours = neighbourhood(fake, real, k=2, density_k=2)
    np.testing.assert_allclose([score.value for score in ours], brute_force(fake.numpy(), real.numpy(), 2, 2))


def test_chunks_do_not_change_neighbours():
    fake, real, held_out = mixed(150, 16, 0, 1, shift=0.3), mixed(130, 16, 2, 1), mixed(130, 16, 3, 1)
    whole, whole_memory = neighbourhood(fake, real), memorisation(fake, real, held_out)
    for chunk in (7, 64, 130):
        assert neighbourhood(fake, real, chunk=chunk) == whole
        assert memorisation(fake, real, held_out, chunk=chunk) == whole_memory
        torch.testing.assert_close(nearest_others(real, 5, chunk), nearest_others(real, 5), rtol=1e-12, atol=0)


def test_nearest_others_are_kept_for_the_next_evaluation():
    fake, real = mixed(150, 16, 0, 1), mixed(130, 16, 2, 1)
    whole = neighbourhood(fake, real)
    assert neighbourhood(fake, real, real_nearest=nearest_others(real, 5)) == whole
    assert neighbourhood(fake, real, real_nearest=nearest_others(real, 5) / 2) != whole, "it is used"


def test_nearest_others_are_not_the_sample_itself():
    x = torch.tensor([[0.0], [1.0], [3.0], [3.0]])
    assert nearest_others(x, 2).tolist() == [[1, 9], [1, 4], [0, 4], [0, 4]]
    twice = nearest_others(mixed(50, 16, 0, 1, shift=100).repeat(2, 1), 1)
    assert 0 <= twice.min() <= twice.max() < 1e-8, "rounding leaves no negative square"


def test_precision_and_density_standard_errors():
    """Over 100 draws of the fakes alone, which is what they cover."""
    real = mixed(300, 4, 0, 1)
    nearest = nearest_others(real, 5)
    scores = [neighbourhood(mixed(200, 4, 10 + seed, 1, shift=0.7), real, real_nearest=nearest) for seed in range(100)]
    for name in ("precision", "density"):
        values, errors = zip(*(getattr(of, name) for of in scores), strict=True)
        assert np.mean(errors) == pytest.approx(spread(values), rel=0.2), name


def test_errors_of_shares():
    score = mean_score(torch.arange(50) < 20)
    assert score == pytest.approx((0.4, math.sqrt(0.4 * 0.6 / 50)))


# --- memorisation ---


def test_memorisation_by_brute_force():
    fake, train, held_out = mixed(90, 8, 0, 1), mixed(120, 8, 2, 1), mixed(120, 8, 3, 1)
    fake[:30] = train[:30] + 0.01
    near, far = ((fake[:, None] - x[None]).square().sum(-1).sqrt().amin(1) for x in (train, held_out))
    share, ratio = memorisation(fake, train, held_out)
    assert share.value == pytest.approx((near < far).double().mean().item())
    assert ratio.value == pytest.approx((near.mean() / far.mean()).item(), rel=1e-12)


@pytest.mark.parametrize("mean", [0.0, 1e4])
def test_copies_of_training_data(mean):
    """Their distance is exactly 0, which a matrix product cannot say of features that are far from zero."""
    train, held_out = (mixed(200, 64, seed, 1, shift=mean).float() for seed in (0, 2))
    assert not nearest_distance(train[:50], train).any()
    assert memorisation(train[:50], train, held_out) == ((1, 0), (0, 0))
    assert memorisation(held_out[:50], train, held_out).share.value == 0


def test_ties_count_one_half():
    train, held_out = torch.tensor([[0.0], [10.0]]), torch.tensor([[4.0], [10.0]])
    fake = torch.tensor([[1.0], [2.0], [3.0], [10.0]])  # nearer to training data, two ties, nearer to held-out data
    share, ratio = memorisation(fake, train, held_out)
    assert share.value == pytest.approx((1 + 0.5 + 0 + 0.5) / 4)
    assert ratio.value == pytest.approx((1 + 2 + 3 + 0) / (3 + 2 + 1 + 0))


def test_copies_of_held_out_data_alone():
    held_out = normal(20, 4, 0)
    share, ratio = memorisation(held_out[:5], normal(20, 4, 1), held_out)
    assert share == (0, 0)
    assert ratio == (math.inf, None)


def test_memorisation_standard_errors():
    """Over 150 draws of the fakes, some of which are far from everything: both distances of a fake are long or short."""
    train, held_out = mixed(150, 4, 0, 1), mixed(150, 4, 2, 1)
    scores = [memorisation(3 * mixed(100, 4, 10 + seed, 1), train, held_out) for seed in range(150)]
    for name in ("share", "ratio"):
        values, errors = zip(*(getattr(of, name) for of in scores), strict=True)
        assert np.mean(values) == pytest.approx(0.5 if name == "share" else 1, abs=0.1)
        assert np.mean(errors) == pytest.approx(spread(values), rel=0.15), name


# --- all of them ---


def test_autocast_changes_nothing():
    """A score may be taken inside a training step's mixed precision."""
    fake, real, other = (mixed(90, 16, seed, 1).float() for seed in (0, 2, 3))

    def scores() -> list[object]:
        reference, moments = Reference.of(moments_of(real)), moments_of(fake)
        return [
            frechet_distance(reference, moments),
            frechet_standard_error(reference, moments, fake),
            kernel_distance(fake, real, subsets=3, subset_size=40),
            kernel_distance(fake, real, subsets=30, subset_size=80),
            inception_score(fake),
            neighbourhood(fake, real),
            memorisation(fake, real, other),
        ]

    plain = scores()
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        assert scores() == plain


FEATURES = normal(30, 4, 0)
NAN = torch.full((30, 4), math.nan)
LABEL = torch.arange(30) % 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Moments(4).update(FEATURES[:, :3]), r"take \[N, 4\]"),
        (lambda: Moments(4).update(FEATURES[0]), r"take \[N, 4\]"),
        (lambda: moments_of(FEATURES[:1]).covariance, "at least two samples, here are 1"),
        (lambda: distance_of(NAN, FEATURES), "real features hold NaN"),
        (lambda: distance_of(FEATURES, NAN), "fake features hold NaN"),
        (lambda: distance_of(FEATURES, FEATURES[:, :3]), "3 wide and real ones 4: .* same network"),
        (lambda: Reference.of(moments_of(FEATURES), FEATURES[:9]), "exactly the features"),
        (
            lambda: frechet_distance(Reference.of(moments_of(FEATURES)), moments_of(FEATURES), FEATURES[:9]),
            "exactly the features",
        ),
        (lambda: intra_frechet_distance(FEATURES, LABEL, FEATURES, LABEL * 7), "class 7 has 0 real and 15 fake"),
        (lambda: intra_frechet_distance(FEATURES, LABEL * 0, FEATURES[:1], LABEL[:1]), "class 0 has 30 real and 1 fake"),
        (lambda: kernel_distance(FEATURES, FEATURES), "30 fake and 30 real features: give 1000 or more"),
        (lambda: kernel_distance(FEATURES, NAN, subset_size=9), "real holds NaN"),
        (lambda: kernel_distance(FEATURES[:, :3], FEATURES, subset_size=9), "different widths .* same network"),
        (lambda: inception_score(FEATURES, splits=31), "choose from 2 to 30 splits"),
        (lambda: inception_score(FEATURES, splits=1), "choose from 2 to 30 splits"),
        (lambda: inception_score(NAN), "logits holds NaN"),
        (lambda: neighbourhood(FEATURES, NAN), "real holds NaN"),
        (lambda: neighbourhood(FEATURES[:0], FEATURES), r"fake is \[0, 4\]: give at least one"),
        (lambda: neighbourhood(FEATURES, FEATURES[:5]), "give more than 5"),
        (lambda: neighbourhood(FEATURES[:3], FEATURES), "give more than 3"),
        (
            lambda: neighbourhood(FEATURES, FEATURES, real_nearest=nearest_others(FEATURES, 4)),
            r"give nearest_others\(real, 5\)",
        ),
        (lambda: neighbourhood(FEATURES, FEATURES, real_nearest=nearest_others(FEATURES[:20], 5)), r"\[20, 5\] for 30 reals"),
        (lambda: memorisation(FEATURES, FEATURES, FEATURES[:20]), "give 20 of each"),
        (lambda: memorisation(FEATURES, NAN, FEATURES), "train holds NaN"),
        (lambda: memorisation(FEATURES[:, :2], FEATURES, FEATURES), "different widths"),
    ],
)
def test_mistakes_are_explained(call, message):
    with pytest.raises(ValueError, match=message):
        call()
