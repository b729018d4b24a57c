"""What only the ablation has: layer weights by leave-one-out, codes of classes and class means."""

import numpy as np
import pytest
import torch
from benchmarks import codes, weightings
from benchmarks.tiny_classes import nearest_mean
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid

from head2toe.probes.columns import Block, Columns
from head2toe.probes.grams import Grams
from head2toe.probes.kernels import centre
from head2toe.probes.least_squares import indicators


@pytest.fixture
def layers() -> tuple[list[torch.Tensor], torch.Tensor, Grams]:
    """Rows of three layers, targets, and the layers' Gram matrices."""
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randn(30, 4, generator=generator) for _ in range(3)]
    y = torch.arange(30) % 3
    rows[1][:, 0] += 2.0 * y
    return rows, indicators(y, 3), Grams.of(one @ one.T for one in rows)


def test_leave_one_out_error_is_that_of_fits_without_each_row(layers):
    rows, targets, grams = layers
    train = torch.arange(24)
    weights, strength = torch.tensor([0.1, 0.3, 0.05], dtype=torch.float64), 0.5
    z = torch.cat([one[train] * w.sqrt() for one, w in zip(rows, weights, strict=True)], dim=1).double()
    z = z - z.mean(dim=0)
    y = targets[train] - targets[train].mean(dim=0)
    errors = []
    for i in range(24):
        others = torch.arange(24) != i
        a = z[others]
        fitted = torch.linalg.solve(a.T @ a + strength * torch.eye(z.shape[1], dtype=torch.float64), a.T @ y[others])
        errors.append((y[i] - z[i] @ fitted).square().sum())
    logs = torch.cat([weights, torch.tensor([strength], dtype=torch.float64)]).log()
    assert weightings.error(grams, train, y, logs) == pytest.approx(float(torch.stack(errors).mean()), rel=1e-4)


def test_gradient_of_the_leave_one_out_error_equals_finite_differences(layers):
    _, targets, grams = layers
    train = torch.arange(24)
    y = targets[train] - targets[train].mean(dim=0)
    logs = torch.tensor([-2.0, -1.0, -3.0, -0.5], dtype=torch.float64)
    found, step = weightings.gradient(grams, train, y, logs), 1e-2  # Gram matrices are float32
    for i in range(4):
        move = step * torch.eye(4, dtype=torch.float64)[i]
        difference = weightings.error(grams, train, y, logs + move) - weightings.error(grams, train, y, logs - move)
        assert float(found[i]) == pytest.approx(difference / (2 * step), rel=1e-2, abs=1e-4)


def test_leave_one_out_gradient_makes_the_layer_that_knows_the_classes_loudest(layers):
    _, targets, grams = layers
    weights, alpha = weightings.learn(grams, np.arange(30), targets)
    assert int(weights.argmax()) == 1
    assert alpha.sum(dim=0).abs().max() < 1e-8  # so that uncentred rows may be projected


@pytest.mark.parametrize("name", ["least squares, ordinal code", "least squares, the class as a number"])
def test_logits_of_a_code_are_largest_at_the_nearest_codeword(name):
    code = codes.codewords(5)[name]
    outputs = 2 * torch.randn(40, code.shape[1], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    distances = torch.cdist(outputs, code)
    assert torch.equal(codes.nearest(outputs, code).argmax(dim=1), distances.argmin(dim=1))
    assert torch.equal(codes.nearest(code, code).argmax(dim=1), torch.arange(5))


@pytest.fixture
def blobs() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    return (rng.normal(size=(90, 6)) + 0.8 * rng.normal(size=(3, 6))[y]).astype(np.float32), y


def test_class_means_answer_as_the_nearest_centroid(blobs):
    X, y = blobs
    rows, labels = torch.from_numpy(X), torch.from_numpy(y)
    kernel = centre(rows @ rows.T, np.arange(60), np.arange(60, 90), torch.ones(60, dtype=torch.float64))
    says = codes.class_means(kernel, indicators(labels[:60], 3)).argmax(dim=1).numpy()
    assert np.array_equal(says, NearestCentroid().fit(X[:60], y[:60]).predict(X[60:]))


def test_a_class_without_an_image_is_never_the_nearest(blobs):
    X, y = blobs
    rows = torch.from_numpy(X)
    kernel = centre(rows @ rows.T, np.arange(60), np.arange(60, 90), torch.ones(60, dtype=torch.float64))
    targets = indicators(torch.from_numpy(np.minimum(y[:60], 1)), 3)
    assert set(codes.class_means(kernel, targets).argmax(dim=1).tolist()) <= {0, 1}


def test_class_means_of_drawn_images_do_not_look_at_the_others_labels(blobs):
    X, y = blobs
    columns = Columns((Block("a", "mean", 0, 6),), {"all": (0,), "linear": (0,)})
    rows, others = np.arange(60), np.arange(60, 90)
    accuracy = nearest_mean(X, y, columns, rows, others)
    turned = np.where(np.isin(np.arange(90), others), (y + 1) % 3, y)
    right = round(30 * accuracy)
    assert right > 15
    assert round(30 * nearest_mean(X, turned, columns, rows, others)) <= 30 - right


def test_without_smoothing_logistic_heads_are_scikit_learns(blobs):
    X, y = blobs
    rows = torch.from_numpy(X)
    kernel = centre(rows @ rows.T, np.arange(60), np.arange(60, 90), torch.ones(60, dtype=torch.float64))
    for strength, logits in codes.logistic(kernel, torch.from_numpy(y[:60]), 3, 0.0):
        known = LogisticRegression(C=1 / (60 * strength), max_iter=5000, tol=1e-10)
        known.fit(X[:60] / np.sqrt(kernel.unit), y[:60])
        proba = known.predict_proba(X[60:] / np.sqrt(kernel.unit))
        np.testing.assert_allclose(logits.softmax(dim=1).numpy(), proba, atol=2e-3)


def test_smoothed_labels_make_a_head_less_sure(blobs):
    X, y = blobs
    rows = torch.from_numpy(X)
    kernel = centre(rows @ rows.T, np.arange(60), np.arange(60, 90), torch.ones(60, dtype=torch.float64))
    sure = [
        logits.softmax(dim=1).amax(dim=1).mean()
        for smoothing in (0.0, 0.1)
        for _, logits in list(codes.logistic(kernel, torch.from_numpy(y[:60]), 3, smoothing))[-1:]
    ]
    assert sure[1] < sure[0]
