"""Solvers of the group lasso, one a process: `PYTHON group_lasso_rivals.py NAME FOLDER STRENGTH TARGET`.

Needs numpy and the one package, so that a package with needs of its own (adelie: numpy < 2) can run in its own place.
Reads X.npy and y.npy from FOLDER and solves at the tolerances of the solver's ladder, from the loosest on, until the
objective is at most TARGET; prints a line of JSON after each: CPU-seconds and the objective in float64. Whoever
started it stops it. A solver gets X in the memory order it works in, and that costs it nothing.
"""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

Solution = tuple[np.ndarray, np.ndarray]  # W (d, c), b (c,)
RATIOS = 10  # steps of a path from lambda_max down, for solvers that want one


def objective(X: np.ndarray, y: np.ndarray, W: np.ndarray, b: np.ndarray, strength: float) -> float:
    norms = np.linalg.norm(W.astype(np.float64), axis=1)
    kept = np.nonzero(norms)[0]
    Z = X[:, kept].astype(np.float64) @ W[kept] + b
    if y.ndim == 2:
        return float(np.square(Z - y).sum() / (2 * len(y)) + strength * norms.sum())
    top = Z.max(axis=1)
    losses = np.log(np.exp(Z - top[:, None]).sum(axis=1)) + top - Z[np.arange(len(y)), y]
    return float(losses.mean() + strength * norms.sum())


def head2toe(X: np.ndarray, y: np.ndarray, strength: float, tolerance: float) -> Solution:
    from head2toe.probes.group_lasso import group_lasso

    loss = "squared" if y.ndim == 2 else "multinomial"
    result = group_lasso(X, y, strength, loss=loss, tolerance=tolerance)
    return result.coef.numpy(), result.intercept.numpy()


def fista(X: np.ndarray, y: np.ndarray, strength: float, tolerance: float) -> Solution:
    """Working sets and FISTA with restarts: what one writes in an afternoon."""
    import torch

    n, d = X.shape
    classes = int(y.max()) + 1
    rows, labels = torch.from_numpy(X), torch.from_numpy(y)
    Y = torch.nn.functional.one_hot(labels, classes).to(rows)
    b = Y.mean(dim=0).log()
    held = torch.empty(0, dtype=torch.int64)
    W = torch.zeros(0, classes)

    def gap(part: torch.Tensor, Z: torch.Tensor, W: torch.Tensor) -> tuple[float, torch.Tensor]:
        P = torch.softmax(Z, dim=1)
        correlation = (part.T @ ((P - Y) / n)).norm(dim=1)
        s = min(1.0, strength / float(correlation.max()))
        mixed = (s * P + (1 - s) * Y).double()
        primal = float(torch.nn.functional.cross_entropy(Z.double(), labels)) + strength * float(W.norm(dim=1).sum())
        return (primal + float(torch.xlogy(mixed, mixed).sum()) / n) / primal, correlation

    while True:
        Z = rows[:, held] @ W + b
        open_gap, correlation = gap(rows, Z, W)
        if open_gap <= tolerance:
            break
        active = W.norm(dim=1) > 0
        correlation[held] = 0
        count = min(int((correlation > strength).sum()), max(100, int(active.sum())))
        held = torch.cat([held[active], torch.topk(correlation, count).indices])
        W = torch.cat([W[active], torch.zeros(count, classes)])
        part = rows[:, held].contiguous()
        v = torch.ones(len(held))
        for _ in range(20):
            v = part.T @ (part @ (v / v.norm()))
        L = 1.05 * float(v.norm()) / (2 * n)
        V, vb, t = W, b, 1.0
        for turn in range(1, 5000):
            R = (torch.softmax(part @ V + vb, dim=1) - Y) / n
            U, new_b = V - (part.T @ R) / L, vb - 2 * R.sum(dim=0)
            new = U * (1 - strength / L / U.norm(dim=1, keepdim=True).clamp_min(1e-30)).clamp_min(0)
            t = 1.0 if float(((V - new) * (new - W)).sum()) > 0 else t
            after = (1 + (1 + 4 * t * t) ** 0.5) / 2
            V, vb = new + (t - 1) / after * (new - W), new_b + (t - 1) / after * (new_b - b)
            W, b, t = new, new_b, after
            if turn % 20 == 0 and gap(part, part @ W + b, W)[0] <= max(0.3 * tolerance, 0.1 * open_gap):
                break
    full = torch.zeros(d, classes)
    full[held] = W
    return full.numpy(), b.numpy()


def proximal(X: np.ndarray, y: np.ndarray, strength: float, tolerance: float) -> Solution:
    """Accelerated proximal gradient on all columns, without working sets; `tolerance` is that of the steps."""
    import torch

    n, classes = len(X), int(y.max()) + 1
    rows = torch.from_numpy(X)
    Y = torch.nn.functional.one_hot(torch.from_numpy(y), classes).T.to(rows)
    W, b = torch.zeros(classes, X.shape[1]), Y.mean(dim=1).log()
    v = torch.ones(n)
    for _ in range(20):
        v = rows @ (rows.T @ (v / v.norm()))
    L = 1.05 * float(v.norm()) / (2 * n)
    V, vb, t = W, b, 1.0
    for _ in range(20_000):
        R = (torch.softmax(V @ rows.T + vb[:, None], dim=0) - Y) / n
        U, new_b = V - (R @ rows) / L, vb - 2 * R.sum(dim=1)
        new = U * (1 - strength / L / U.square().sum(dim=0).sqrt().clamp_min(1e-30)).clamp_min(0)
        t = 1.0 if float(((V - new) * (new - W)).sum()) > 0 else t
        after = (1 + (1 + 4 * t * t) ** 0.5) / 2
        change = float((new - W).norm() / new.norm().clamp_min(1e-30))
        V, vb = new + (t - 1) / after * (new - W), new_b + (t - 1) / after * (new_b - b)
        W, b, t = new, new_b, after
        if change <= tolerance:
            break
    return W.T.numpy(), b.numpy()


def skglm(X: np.ndarray, y: np.ndarray, strength: float, tolerance: float) -> Solution:
    """Its block coordinate descent with Anderson acceleration; it has no multinomial loss, so one is given here."""
    from skglm.penalties import L2_1
    from skglm.solvers import MultiTaskBCD

    Y = y.astype(X.dtype) if y.ndim == 2 else np.eye(int(y.max()) + 1, dtype=X.dtype)[y]
    datafit = _skglm_datafit("squared" if y.ndim == 2 else "multinomial")
    solver = MultiTaskBCD(tol=tolerance * strength, fit_intercept=True)
    W = solver.solve(X, np.asfortranarray(Y), datafit, L2_1(strength))[0]
    return W[:-1], W[-1]


@functools.cache  # or numba would compile it again at every call
def _skglm_datafit(loss: str) -> object:
    from skglm.datafits import QuadraticMultiTask

    if loss == "squared":
        return QuadraticMultiTask()

    class Multinomial(QuadraticMultiTask):
        """Mean cross-entropy; the curvature of a row's block is at most ||X_j||^2 / 2n (Boehning 1992)."""

        def get_lipschitz(self, X, Y):  # noqa: ANN001, ANN202, ARG002
            lipschitz = np.zeros(X.shape[1])
            for j in range(X.shape[1]):
                lipschitz[j] = np.linalg.norm(X[:, j]) ** 2 / (2 * X.shape[0])
            return lipschitz

        def value(self, Y, W, XW):  # noqa: ANN001, ANN202, ARG002
            total = 0.0
            for i in range(Y.shape[0]):
                top = np.max(XW[i])
                total += np.log(np.sum(np.exp(XW[i] - top))) + top - np.sum(Y[i] * XW[i])
            return total / Y.shape[0]

        def gradient_j(self, X, Y, W, XW, j):  # noqa: ANN001, ANN202, ARG002
            out = np.zeros(Y.shape[1])
            for i in range(Y.shape[0]):
                proba = np.exp(XW[i] - np.max(XW[i]))
                out += X[i, j] * (proba / np.sum(proba) - Y[i])
            return out / Y.shape[0]

        def intercept_update_step(self, Y, XW):  # noqa: ANN001, ANN202
            out = np.zeros(Y.shape[1])
            for i in range(Y.shape[0]):
                proba = np.exp(XW[i] - np.max(XW[i]))
                out += proba / np.sum(proba) - Y[i]
            return 2 * out / Y.shape[0]

    return Multinomial()


def cyanure(X: np.ndarray, y: np.ndarray, strength: float, tolerance: float) -> Solution:
    from cyanure.estimators import Classifier

    model = Classifier(loss="multiclass-logistic", penalty="l1l2", lambda_1=strength, tol=tolerance,
                       fit_intercept=True, max_iter=5000, verbose=False, n_threads=1)  # fmt: skip
    model.fit(X, y)
    W = np.asarray(model.coef_)
    return (W if W.shape[0] == X.shape[1] else W.T), np.ravel(model.intercept_)


def adelie(X: np.ndarray, y: np.ndarray, strength: float, tolerance: float) -> Solution:
    import adelie

    d = X.shape[1]
    classes = int(y.max()) + 1 if y.ndim == 1 else y.shape[1]
    kind, Y = (adelie.glm.multinomial, np.eye(classes)[y]) if y.ndim == 1 else (adelie.glm.multigaussian, y)
    glm = kind(np.asfortranarray(Y, dtype=X.dtype), dtype=X.dtype.type)
    # Its losses of several outputs are divided by their number; at its own newton_tol of 1e-12 float32 gives up.
    path = adelie.grpnet(adelie.matrix.dense(X, n_threads=1), glm,
                         lmda_path=strength / classes * np.geomspace(_largest(X, y) / strength, 1, RATIOS),
                         penalty=np.ones(d), alpha=1, tol=tolerance, irls_tol=max(tolerance, 1e-6), newton_tol=1e-5,
                         early_exit=False, progress_bar=False)  # fmt: skip
    if path.betas.shape[0] < RATIOS:
        raise RuntimeError("adelie stopped before the end of the path")
    return path.betas[-1].toarray().reshape(d, classes), np.ravel(path.intercepts[-1])


def scikit_learn(X: np.ndarray, y: np.ndarray, strength: float, tolerance: float) -> Solution:
    from sklearn.linear_model import MultiTaskLasso

    model = MultiTaskLasso(alpha=strength, tol=tolerance, max_iter=100_000).fit(X, y)
    return model.coef_.T, model.intercept_


def celer(X: np.ndarray, y: np.ndarray, strength: float, tolerance: float) -> Solution:
    from celer.homotopy import mtl_path

    mean, centre = X.mean(axis=0), y.mean(axis=0)
    rows, targets = np.asfortranarray(X - mean), np.asfortranarray(y - centre)
    alphas = np.geomspace(_largest(X, y), strength, RATIOS)
    W = mtl_path(rows, targets, alphas=alphas, tol=tolerance, max_iter=1000)[1][:, :, -1].T
    return W, centre - mean @ W


def _largest(X: np.ndarray, y: np.ndarray) -> float:
    Y = y if y.ndim == 2 else np.eye(int(y.max()) + 1, dtype=X.dtype)[y]
    return float(np.linalg.norm(X.T @ ((Y - Y.mean(axis=0)) / len(Y)), axis=1).max())


Solver = Callable[[np.ndarray, np.ndarray, float, float], Solution]
COLUMNS = {"adelie", "skglm", "celer", "scikit-learn"}  # solvers that want X column by column
OURS = (0.1, 0.05, 0.03, 0.01, 1e-3)
CLASSIFIERS: dict[str, tuple[Solver, tuple[float, ...]]] = {
    "head2toe": (head2toe, OURS),
    "fista": (fista, OURS),
    "adelie": (adelie, (1e-3, 1e-4, 1e-5, 1e-6)),
    "skglm": (skglm, (0.1, 0.03, 0.01, 1e-3)),
    "cyanure": (cyanure, (1e-2, 1e-3)),
    "proximal": (proximal, (1e-2, 3e-3, 1e-3, 1e-4)),
}
REGRESSORS: dict[str, tuple[Solver, tuple[float, ...]]] = {
    "head2toe": (head2toe, OURS),
    "scikit-learn": (scikit_learn, (1e-2, 1e-3, 1e-4)),
    "skglm": (skglm, (0.1, 0.03, 0.01, 1e-3)),
    "celer": (celer, (1e-3, 1e-5)),
    "adelie": (adelie, (1e-3, 1e-4, 1e-5, 1e-6)),
}


def main() -> None:
    name, folder, strength, target = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
    X, y = np.load(folder / "X.npy"), np.load(folder / "y.npy")
    if name in COLUMNS:
        X = np.asfortranarray(X, np.float64 if name == "skglm" else X.dtype)  # skglm's losses are of float64
    solver, ladder = (CLASSIFIERS if y.ndim == 1 else REGRESSORS)[name]
    # A first small problem pays for imports and compilation.
    small = X[:, :200].copy(order="F" if name in COLUMNS else "C")
    solver(small, y, 0.5 * _largest(small, y), 1e-2)
    for tolerance in ladder:
        start = time.process_time()
        W, b = solver(X, y, strength, tolerance)
        seconds = time.process_time() - start
        value = objective(X, y, W, b, strength)
        print(json.dumps({"tolerance": tolerance, "seconds": seconds, "objective": value}), flush=True)
        if value <= target:
            return


if __name__ == "__main__":
    main()
