"""Methods that train the network itself: finetune, scratch, lora, head2toe-ft, head2toe-ft+."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from head2toe import FeatureProbe
from head2toe.baselines import FineTuned, HeadOnBackbone, Pixels, Tuned, low_rank, tune
from head2toe.baselines.low_rank import updates
from head2toe.baselines.training import Schedule, train
from head2toe.baselines.tuning import logits_of
from head2toe.benchmark.costs import counted
from head2toe.benchmark.fitted import Fitted
from head2toe.benchmark.trial import FOLDS, Trial
from head2toe.errors import ParameterError
from head2toe.features.device import find_device
from head2toe.probes import LINEAR_VIEW, LinearHead, deviates, plain_view
from head2toe.probes.settings import DISCRIMINANT, LEAST_SQUARES
from head2toe.probes.standardised import Standardised

BATCH = 32
RATES = (0.1, 0.01)
PROBE_RATES = (0.01, 0.001, 0.0001)  # the head is fitted already: large steps would only destroy it
LORA_RATES = (0.01, 0.001)  # Adam's
FINETUNING_STEPS, FINETUNING_BATCH = 500, 128  # the official schedule
_MEASURED_STEPS, _MEASURED_BATCH = 2, 16
_CHOSEN = "view", "head", "fraction", "layer_weights"  # of each head that was averaged
_TOGETHER = 256  # images read before they are predicted


def finetune(trial: Trial) -> Fitted:
    """All weights, from the pretrained ones."""
    return _whole(trial, pretrained=True)


def finetune_official(trial: Trial) -> Fitted:
    """All weights, from the pretrained ones, by the official schedule: hours on a CPU, minutes on a GPU."""
    return _whole(trial, pretrained=True, official=True)


def scratch(trial: Trial) -> Fitted:
    """All weights, drawn anew."""
    return _whole(trial, pretrained=False)


def lora(trial: Trial) -> Fitted:
    """Low-rank updates and a new head."""
    schedule = _schedule(trial, optimiser="adam")
    with counted() as spent:
        tuned = _tuned(trial, lambda _: low_rank(trial.backbone, trial.classes, seed=trial.seed), schedule, LORA_RATES)
    return _fitted(trial, tuned, spent.total, updates(tuned.network), schedule)


def head2toe_ft(trial: Trial) -> Fitted:
    """The whole backbone under the head that head2toe found; for the choice of the learning rate, one of its kind.

    That is found on the training part, by a search among what head2toe chose, so that nothing has seen the images held
    out but the choice itself.
    """
    begun, frozen = time.perf_counter(), trial.earlier("head2toe")
    earlier = frozen.probe
    assert earlier is not None
    with counted() as refitted:
        part = _refitted(trial, earlier)

    def start(rows: np.ndarray | None) -> nn.Module:
        probe, X = (earlier, trial.rows.X) if rows is None else (part, trial.rows.X[rows])
        return HeadOnBackbone(trial.backbone.module, trial.rows.plan, _standardised(trial, probe, X))

    schedule = _schedule(trial, largest_gradient=1.0)
    with counted() as spent:
        tuned = _tuned(trial, start, schedule, PROBE_RATES)
    flops = spent.total + refitted.total + frozen.flops
    fitted = _fitted(trial, tuned, flops, _changed(tuned.network, trial.backbone.module), schedule)
    split = trial.split
    before = float(np.mean(part.predict(trial.rows.X[split.held_out]) == trial.y[split.held_out]))
    seconds = (frozen.seconds or 0.0) + time.perf_counter() - begun
    return replace(fitted, accuracy_before=before, seconds=seconds)


def head2toe_ft_plus(trial: Trial) -> Fitted:
    """The better of head2toe and head2toe-ft on the images held out; ties go to head2toe, which is smaller."""
    frozen, tuned = trial.earlier("head2toe"), trial.earlier("head2toe-ft")
    before, after = tuned.accuracy_before, tuned.cv_accuracy
    assert before is not None
    assert after is not None
    name, best = ("head2toe-ft", tuned) if after > before else ("head2toe", frozen)
    choice = {"method": name, "validation": trial.split_name, "head2toe": before, "head2toe-ft": after}
    # Both must have been trained: the cost is that of head2toe-ft, which includes head2toe's.
    return replace(best, choice=choice, flops=tuned.flops, seconds=tuned.seconds, cv_accuracy=max(before, after))


def finetune_cost(trial: Trial) -> Fitted:
    """What fine-tuning by the official schedule would cost, from a few steps; nothing is trained to the end."""
    model = FineTuned(trial.spec, image_size=trial.image_size, preprocessing=trial.preprocessing)
    network = model.untrained(trial.classes).to(find_device(trial.device))
    count = min(_MEASURED_BATCH, len(trial.y))
    first = [trial.task.train[i] for i in range(count)]
    pixels, y = Pixels.of(first, model.preprocessing_), torch.from_numpy(trial.y[:count])
    schedule = Schedule(steps=1 + _MEASURED_STEPS, learning_rate=0.01, batch_size=count, seed=trial.seed)
    ends: list[tuple[float, int]] = []  # of the steps; the first is slower, and pays for what is done once
    with counted() as spent:

        def report(_: int) -> None:
            ends.append((time.perf_counter(), spent.total))

        train(network, pixels.x, y, pixels.batch, schedule, report)
    seconds, flops = (last - first for first, last in zip(ends[0], ends[-1], strict=True))
    share = FINETUNING_STEPS * FINETUNING_BATCH / (_MEASURED_STEPS * count)
    return Fitted(
        flops=round(flops * share),
        stored=dict(network.state_dict()),
        choice={
            "steps": FINETUNING_STEPS,
            "batch_size": FINETUNING_BATCH,
            "learning_rates": 1,
            "measured": f"{_MEASURED_STEPS} steps of {count} images",
        },
        estimated=True,
        seconds=seconds * share,
    )


def _whole(trial: Trial, *, pretrained: bool, official: bool = False) -> Fitted:
    steps, batch = (FINETUNING_STEPS, FINETUNING_BATCH) if official else (trial.steps, BATCH)
    model = FineTuned(
        trial.spec,
        pretrained=pretrained,
        image_size=trial.image_size,
        steps=steps,
        learning_rates=RATES,
        batch_size=batch,
        augment=trial.augment,
        random_state=trial.seed,
        preprocessing=trial.preprocessing,
        device=trial.device,
        progress=_tenths(trial),
    )
    with counted() as spent:
        model.fit(trial.task.train.images, trial.y, split=(trial.split.train, trial.split.held_out))
    best = next(row["accuracy"] for row in model.search_table_ if row["learning_rate"] == model.learning_rate_)
    return Fitted(
        flops=spent.total,
        stored=dict(model.network_.state_dict()),
        choice=_choice(trial, model.learning_rate_, steps, batch),
        cv_accuracy=best,
        of_images=lambda images: np.concatenate([model.predict(part) for part in _stretches(images)]),
    )


def _schedule(trial: Trial, **options: Any) -> Schedule:
    """Of trainings whose learning rate `tune` sets."""
    steps, seed = trial.steps, trial.seed
    return Schedule(steps=steps, learning_rate=0.0, batch_size=BATCH, seed=seed, augment=trial.augment, **options)


def _tuned(trial: Trial, start: Callable[[Any], nn.Module], schedule: Schedule, rates: tuple[float, ...]) -> Tuned:
    pixels = Pixels.of(trial.task.train.images, trial.backbone.preprocessing)
    y, split = torch.from_numpy(trial.y), (trial.split.train, trial.split.held_out)
    return tune(start, pixels, y, split, schedule, rates, _tenths(trial), device=find_device(trial.device))


def _tenths(trial: Trial) -> Callable[..., None]:
    """Progress after every tenth of the gradient steps, not after each."""

    def report(done: int, total: int, text: str = "training") -> None:
        if 10 * done // total > 10 * (done - 1) // total:
            trial.progress(done, total, f"steps of {text}")

    return report


def _fitted(trial: Trial, tuned: Tuned, flops: int, stored: dict[str, torch.Tensor], schedule: Schedule) -> Fitted:
    def predict(images: Any) -> np.ndarray:
        found = []
        for part in _stretches(images):
            pixels = Pixels.of(part, trial.backbone.preprocessing)
            found.append(logits_of(tuned.network, pixels, pixels.x).argmax(dim=1).numpy())
        return np.concatenate(found)

    return Fitted(
        flops=flops,
        stored=stored,
        choice=_choice(trial, tuned.learning_rate, schedule.steps, BATCH),
        cv_accuracy=tuned.accuracy,
        of_images=predict,
    )


def _standardised(trial: Trial, probe: FeatureProbe, X: np.ndarray) -> LinearHead:
    """The probe's head, in the units in which it was fitted to the rows X.

    As it is kept it counts each feature in a unit of its own, and one learning rate would not suit all.
    """
    if not isinstance(probe.head_, LinearHead):
        raise ParameterError(f"head2toe-ft tunes linear heads, and head2toe kept a {type(probe.head_).__name__}")
    head, spans = probe.head_, trial.rows.columns().spans()
    rows = Standardised(X, blocks=spans, deviations=len(head.centre) > 0)
    kept = head.numbers(rows.d).numpy()
    return head.in_units(*(torch.from_numpy(found[kept]) for found in (rows.mean, rows.scale)))


def _refitted(trial: Trial, probe: FeatureProbe) -> FeatureProbe:
    """A search on the training part of the split, among the views, shares and kinds of heads that a probe averaged.

    A head of another kind may be steeper, and the learning rate that is best for one tears the other apart.
    """
    averaged, rows, columns = probe.choice_["averaged"], trial.split.train, probe.columns_
    views, kinds, fractions, ways = ({row[key] for row in averaged} for key in _CHOSEN)
    # In their own order, not in that of a set of names, which is another in every process.
    chosen = {LINEAR_VIEW, *(plain_view(view) for view in views)}
    few = {name: blocks for name, blocks in columns.views.items() if name in chosen}
    if len(few) == 1:  # the linear view was the best: a search needs one beside it
        few = {"all": few[LINEAR_VIEW], **few}
    screening = set() if DISCRIMINANT in kinds else {LEAST_SQUARES}
    again = FeatureProbe(
        replace(columns, views=few),
        min_class_size=1,
        fractions=sorted(fractions),
        layer_weights=sorted(ways),
        deviations=any(deviates(view) for view in views),
        heads=sorted(kinds | screening),
        most_features=probe.most_features,
        cv=FOLDS,
        random_state=trial.seed,
    )
    groups = None if trial.groups is None else trial.groups[rows]
    return again.fit(trial.rows.X[rows], trial.y[rows], groups=groups)


def _changed(network: nn.Module, frozen: nn.Module) -> dict[str, torch.Tensor]:
    """What must be kept beside the frozen backbone: of weights that the head does not read, as its classifier, none."""
    before = {f"backbone.{name}": tensor for name, tensor in frozen.state_dict().items()}
    state = {name: tensor.cpu() for name, tensor in network.state_dict().items()}
    return {name: one for name, one in state.items() if name not in before or not torch.equal(one, before[name].cpu())}


def _choice(trial: Trial, rate: float, steps: int, batch: int) -> dict[str, Any]:
    found = {"learning_rate": rate, "steps": steps, "batch_size": batch, "validation": trial.split_name}
    return {**found, "augmented": True} if trial.augment else found


def _stretches(images: Any) -> Iterator[list[Any]]:
    for start in range(0, len(images), _TOGETHER):
        yield [images[i] for i in range(start, min(start + _TOGETHER, len(images)))]
