"""Networks trained as a whole, for the experiments that compare with them."""

from __future__ import annotations

from head2toe.baselines import FineTuned
from head2toe.baselines.finetune import new_network
from head2toe.benchmark.before_training import check_readable
from head2toe.benchmark.experiments.laboratory import Laboratory
from head2toe.benchmark.tasks import Task


def check_images(laboratory: Laboratory) -> None:
    """Decode all images of all tasks: a network trained as a whole sees each, where rows skip what cannot be read.

    Raises
    ------
    UnreadableImageError
    """
    for task in laboratory.tasks:
        check_readable(task.train.images, part="train")
        check_readable(task.test.images)


def check_network(laboratory: Laboratory, *, pretrained: bool) -> None:
    """Refuse a first backbone that cannot be trained as a whole, before anything is measured.

    Raises
    ------
    ParameterError
    """
    new_network(laboratory.network(laboratory.backbone)[0], 2, pretrained=pretrained)


def trained(
    laboratory: Laboratory,
    task: Task,
    *,
    pretrained: bool,
    learning_rate: float | None = None,
    keep_statistics: bool = False,
) -> FineTuned:
    """The first backbone trained as a whole on a task's training images, at the settings' size, steps and rate."""
    settings = laboratory.settings
    laboratory.progress(f"{task.name}: {'fine-tuning' if pretrained else 'training from scratch'}")
    network = FineTuned(
        laboratory.specs[laboratory.backbone],
        pretrained=pretrained,
        image_size=settings.side,
        steps=settings.steps,
        learning_rates=(learning_rate or settings.learning_rate,),
        batch_size=settings.batch_size,
        keep_statistics=keep_statistics,
        random_state=settings.seed,
        device=laboratory.run_options.get("device", "auto"),
    )
    return network.fit(task.train.images, task.train.known_labels())
