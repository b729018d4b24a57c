"""One style for all figures: size, colours, markers, grid, legends, and how they are saved."""

from __future__ import annotations

import io
import logging
import re
import unicodedata
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from head2toe.benchmark.experiments.experiment import Rows, mean_by, values
from head2toe.errors import MissingDependencyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

# Okabe and Ito's colours, told apart by the colour-blind; black is for means.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#7F7F7F", "#B8A900", "#5E3C99")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
DOTS = (":", "-.", "--", (0, (6, 1, 1, 1, 1, 1)))  # one for each round through the colours
MEAN = {"color": "black", "linewidth": 2.4, "marker": "o", "markersize": 5, "zorder": 5}
PARAMETERS = {
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.labelsize": 10,
    "legend.fontsize": 9,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E2E2E2",
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "text.parse_math": False,  # a $ in a name is a $
    "text.usetex": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "head2toe",
    "figure.dpi": 100,
    "savefig.dpi": 160,
}
ACCURACY = "test accuracy (%)"
TASK_COLUMNS = "task", "selected_on"
NAME_COLUMNS = *TASK_COLUMNS, "backbone", "layer"  # that come from the user
FIGURES: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "png": {"Software": None}}  # without what varies
LONGEST = 20  # characters of a task's name in a figure
LEGEND_ROWS = 18  # that a figure has room for
LEGEND_WIDTH = 2.0  # of a further column, inches
_NO_GLYPH = re.compile(r"Glyph (\d+) .*missing from")


def load() -> Any:
    """Matplotlib.

    Raises
    ------
    MissingDependencyError
    """
    try:
        import matplotlib as mpl
    except ImportError:
        raise MissingDependencyError("figures need matplotlib: pip install matplotlib") from None
    return mpl


@contextmanager
def style() -> Iterator[None]:
    """Draw and save in the house style."""
    with load().rc_context(PARAMETERS):
        yield


def axes(
    width: float = 7.0, height: float = 4.2, columns: int = 1, *, rows: int = 1, **options: Any
) -> tuple[Figure, list[Axes]]:
    """A figure with its axes, row by row; sizes in inches. No window system is asked for."""
    load()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(rows, columns, squeeze=False, **options).flat)


def drawable(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows with names that are drawn as they are, and that leave room for the axes."""
    return [
        {name: as_it_is(value) if name in NAME_COLUMNS else value for name, value in row.items()}
        for row in short_names(rows)
    ]


def as_it_is(name: str) -> str:
    """A name for a label, a title or a tick: bytes that are no text, and control characters, stand as escapes."""
    shown = "".join(_escaped(c) if unicodedata.category(c) in ("Cc", "Cn", "Cs") else c for c in name)
    return f"\u200b{shown}" if shown.startswith("_") else shown  # a legend leaves out what begins with "_"


def _escaped(character: str) -> str:
    byte = ord(character) - 0xDC00  # as `os.fsdecode` keeps it
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else character.encode("unicode_escape").decode()


def short_names(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows with the middle of long names of tasks left out, which would take the room of the axes.

    Names that would then be the same stay whole.
    """
    names = {row[column] for row in rows for column in TASK_COLUMNS if column in row}
    cut = {name: f"{name[: LONGEST // 2]}…{name[-(LONGEST // 2) :]}" if len(name) > LONGEST else name for name in names}
    if len(set(cut.values())) < len(names):
        return [dict(row) for row in rows]
    return [{name: cut[value] if name in TASK_COLUMNS else value for name, value in row.items()} for row in rows]


def look(i: int) -> dict[str, Any]:
    """Colour and marker of the i-th of several things; no two of the first hundred are alike."""
    turn, place = divmod(i, len(COLOURS))
    return {"color": COLOURS[place], "marker": MARKERS[(place + turn) % len(MARKERS)]}


def lines(ax: Axes, rows: Sequence[Mapping[str, Any]], x: str, by: str, y: str = "accuracy") -> None:
    """A line for each value of `by`, in the order of appearance."""
    for i, name in enumerate(dict.fromkeys(row[by] for row in rows)):
        chosen = sorted((row[x], row[y]) for row in rows if row[by] == name)
        ax.plot(*zip(*chosen, strict=True), **look(i), label=str(name))


def mean_line(ax: Axes, means: Mapping[Any, float]) -> None:
    """The mean over tasks, in black."""
    ax.plot(list(means), list(means.values()), label="mean of the tasks", **MEAN)


def lines_by_task(rows: Rows, x: str, xlabel: str, title: str, *, log: bool = False) -> Figure:
    """Accuracy against a column, a line a task, and their mean; `log`: the column on a logarithmic axis."""
    figure, (ax,) = axes()
    lines(ax, rows, x, "task")
    mean_line(ax, mean_by(rows, x))
    if log:
        plain_log(ax, values(rows, x))
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ACCURACY)
    ax.set_title(title)
    legend_beside(ax)
    return figure


def bars_by_task(rows: Rows, by: str, title: str) -> Figure:
    """Accuracies as bars in groups, a group a task, a bar for each value of a column."""
    figure, (ax,) = axes(8.5, 4.2)
    accuracy_bars(ax, rows, by)
    ax.set_ylabel(ACCURACY)
    ax.set_title(title)
    legend_beside(ax)
    return figure


def grouped_bars(
    ax: Axes,
    groups: Sequence[str],
    bars: Mapping[str, Sequence[float]],
    errors: Mapping[str, Sequence[float]],
    colours: Mapping[str, str] | None = None,
) -> None:
    """Bars side by side in groups, each with a whisker of one standard error."""
    width = 0.8 / len(bars)
    for i, (name, heights) in enumerate(bars.items()):
        places = [g - 0.4 + (i + 0.5) * width for g in range(len(groups))]
        whiskers = {"elinewidth": 0.8, "ecolor": "#333333"}
        colour = COLOURS[i % 10] if colours is None else colours[name]
        ax.bar(places, heights, width * 0.92, label=name, color=colour, yerr=errors.get(name), error_kw=whiskers)
    ax.set_xticks(range(len(groups)), groups, rotation=30, ha="right")  # names of many tasks would touch
    ax.grid(axis="x", visible=False)


def accuracy_bars(ax: Axes, rows: Sequence[Mapping[str, Any]], by: str) -> None:
    """Accuracies as bars in groups: a group a task, a bar for each value of a column; one row for each pair of both."""
    found = {(row["task"], row[by]): row for row in rows}
    tasks, bars = (list(dict.fromkeys(row[column] for row in rows)) for column in ("task", by))
    heights = {bar: [found[task, bar]["accuracy"] for task in tasks] for bar in bars}
    errors = {bar: [found[task, bar]["standard_error"] for task in tasks] for bar in bars}
    grouped_bars(ax, tasks, heights, errors)


def legend_beside(ax: Axes, **options: Any) -> None:
    """The legend to the right of the axes, where it hides nothing; more columns of it widen the figure."""
    more = (len(ax.get_legend_handles_labels()[1]) - 1) // LEGEND_ROWS
    if more > 0:
        figure: Any = ax.figure
        figure.set_figwidth(figure.get_figwidth() + LEGEND_WIDTH * more)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0, ncols=1 + more, **options)


def plain_log(ax: Axes, ticks: Sequence[float]) -> None:
    """A logarithmic x axis with the measured values as its ticks."""
    from matplotlib.ticker import NullLocator

    ax.set_xscale("log")
    ax.set_xticks(list(ticks), [f"{tick:g}" for tick in ticks])
    ax.xaxis.set_minor_locator(NullLocator())


def rendered(figure: Figure, name: str) -> dict[str, bytes]:
    """The figure of an experiment as the content of NAME.svg and NAME.png, by ending."""
    made = {}
    with _telling_of_glyphs(name):
        for ending, metadata in FIGURES.items():
            file = io.BytesIO()
            figure.savefig(file, format=ending, metadata=metadata)
            made[ending] = file.getvalue()
    return made


@contextmanager
def _telling_of_glyphs(name: str) -> Iterator[None]:
    """Name, in one line of the log, all characters that the font lacks; matplotlib warns of each, several times."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        yield
    lacking: dict[str, None] = {}
    for one in told:
        found = _NO_GLYPH.match(str(one.message))
        if found is None:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
        else:
            lacking[chr(int(found[1]))] = None
    if lacking:
        log.warning(
            "%s: the figure has boxes for %s, which its font lacks: name one that has them as font.family in a "
            "matplotlibrc, and run it again (the CSV has the names)",
            name,
            "".join(lacking),
        )
