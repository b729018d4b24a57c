"""A hidden layer in the head."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from head2toe.benchmark.experiments import style
from head2toe.benchmark.experiments.experiment import Experiment, Rows, mean_by, ordered
from head2toe.benchmark.experiments.laboratory import Laboratory
from head2toe.benchmark.experiments.task_study import JUDGED, Judged, TaskStudy, best, study_of
from head2toe.benchmark.standard_error import standard_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTHS = (32, 128)
PENALTIES = (0.1, 10.0)  # of the weights, chosen by cross-validation as the ridge strength is
EPOCHS = 40
MOST = 0.1  # of the features: a hidden layer on more has more weights than two cores can train in a minute
RIDGE_HEAD, LINEAR = "ridge head", "linear probe"


def measure(laboratory: Laboratory) -> Rows:
    """Accuracy of heads without and with a hidden layer on the same selected features."""
    rows: Rows = []
    for task in laboratory.tasks:
        study = study_of(laboratory, task)
        judged = {f: one for f, one in study.by_fraction().items() if f <= MOST}
        chosen = best(judged)
        rows.append(study.row(study.linear(), head=LINEAR, fraction=None))
        rows.append(study.row(judged[chosen], head=RIDGE_HEAD, fraction=chosen))
        selected = [study.fractions()(fold.train)[chosen] for fold in study.folds]
        for width in WIDTHS:
            rows.append(_hidden(study, judged[chosen], chosen, selected, width))
    return rows


def _hidden(study: TaskStudy, judged: Judged, fraction: float, selected: list[np.ndarray], width: int) -> dict:
    """A network with one hidden layer; its penalty is chosen by cross-validation with selection inside the folds."""
    found = {}
    for penalty in PENALTIES:
        right = 0
        for fold, kept in zip(study.folds, selected, strict=True):
            Z = study.z.tile(kept).numpy().T
            network = _fitted(Z[fold.train], study.rows.y[fold.train], width, penalty, study.settings.seed)
            right += int((network.predict(Z[fold.held_out]) == study.rows.y[fold.held_out]).sum())
        found[penalty] = 100 * right / sum(len(fold.held_out) for fold in study.folds)
    penalty = max(reversed(PENALTIES), key=found.__getitem__)
    kept = judged.kept
    network = _fitted(study.z.tile(kept).numpy().T, study.rows.y, width, penalty, study.settings.seed)
    test = (study.rows.test[:, kept] - study.z.mean[kept]) / study.z.scale[kept]
    share = float((network.predict(test) == study.rows.y_test).mean())
    chosen, error = Judged(kept, penalty, found[penalty]), standard_error(share, len(test))
    return study.row_of(chosen, 100 * share, 100 * error, head=f"{width} hidden units", fraction=fraction)


def _fitted(X: np.ndarray, y: np.ndarray, width: int, penalty: float, seed: int) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    batch: Any = min(128, len(X))
    network = MLPClassifier((width,), alpha=penalty, batch_size=batch, max_iter=EPOCHS, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of epochs, as in the paper
        return network.fit(X, y)


def draw(rows: Rows) -> Figure:
    """Bars in groups, a group a task."""
    title = "Heads on the same selected features, and the linear probe on the last layer"
    return style.bars_by_task(rows, "head", title)


def findings(rows: Rows) -> list[str]:
    """Compare the best hidden layer with the ridge head on the same features, and rank the heads."""
    means = mean_by(rows, "head")
    hidden = max((name for name in means if name not in (RIDGE_HEAD, LINEAR)), key=means.__getitem__)
    gain = means[hidden] - means[RIDGE_HEAD]
    return [
        (
            f"The best hidden layer, {hidden}, does {'better' if gain > 0 else 'no better'} than the ridge head on the "
            f"same features: {gain:+.1f} points."
        ),
        f"Mean accuracy: {ordered(means)}.",
    ]


EXPERIMENT = Experiment(
    name="hidden-layer",
    title="A hidden layer in the head",
    columns=("task", "backbone", "head", "fraction", *JUDGED),
    paper="A head with a hidden layer is compared with the linear head.",
    differs=f"scikit-learn's MLPClassifier, ReLU, Adam, {EPOCHS} epochs; its penalty is chosen by cross-validation. At "
    f"most {100 * MOST:g} % of the features are kept, for the ridge head too, as a hidden layer on more of them would "
    "train for long; the linear probe reads the last layer.",
    measure=measure,
    draw=draw,
    findings=findings,
)
