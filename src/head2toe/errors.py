"""One class for each mistake a user can make. Messages are one line: what is wrong, where, and what to do."""

from __future__ import annotations


class Head2ToeError(Exception):
    """Base of all errors that a user can cause and cure; the command line prints the message and exits with 2."""

    exit_code = 2


class DataError(Head2ToeError, ValueError):
    """Images, labels or features that cannot be used as they are."""


class EmptyDataError(DataError):
    """No image was found."""


class OneClassError(DataError):
    """All labels are the same."""


class ClassTooSmallError(DataError):
    """A class has fewer images than cross-validation needs."""


class TooFewImagesError(DataError):
    """Fewer images than folds."""


class MissingLabelError(DataError):
    """An image without a label, or a table without a label column."""


class DataFormatError(DataError):
    """Data in a form that is not read: wrong columns, shape, type or file."""


class UnreadableImageError(DataError):
    """An image, text or recording that cannot be read."""


class NotFiniteError(DataError):
    """NaN or infinity among features or weights."""


class ConstantFeaturesError(DataError):
    """Features that are the same for every image."""


class ParameterError(Head2ToeError, ValueError):
    """A parameter outside the values it may take."""


class UnknownBackboneError(Head2ToeError, ValueError):
    """A backbone specification that nothing answers to."""


class PreprocessingError(Head2ToeError, ValueError):
    """A backbone whose preprocessing is missing or cannot be used."""


class WeightsMismatchError(Head2ToeError):
    """Weights that do not fit the network, or are not those a probe or store was made with."""


class HubUnreachableError(Head2ToeError):
    """Weights that are not on this machine, with no network to get them."""


class MissingDependencyError(Head2ToeError, ImportError):
    """An optional package that this backbone or command needs."""


class NoLayerError(Head2ToeError, ValueError):
    """A network in which nothing can be tapped."""


class LayerPatternError(NoLayerError):
    """A layer pattern that matches nothing."""


class StoreMismatchError(Head2ToeError):
    """A feature store made from another backbone, plan or data, or that another process is writing."""


class StoreFormatError(Head2ToeError):
    """A feature store that cannot be read."""


class DiskFullError(Head2ToeError, OSError):
    """Not enough room on the disk."""


class OutputExistsError(Head2ToeError):
    """An output that is already there."""


class UnfinishedComparisonError(Head2ToeError):
    """Some methods of a comparison failed, after others had finished.

    Attributes
    ----------
    outcomes : list of Outcome
        What the others came to.
    failed : dict of (str, int) to Exception
        What stopped the others, by method and seed.
    """

    def __init__(self, message: str, outcomes: list | None = None, failed: dict | None = None) -> None:
        super().__init__(message)
        self.outcomes, self.failed = outcomes or [], failed or {}


class InterruptedComparisonError(KeyboardInterrupt):
    """A comparison was stopped by the user (Ctrl-C) after some methods had finished.

    A KeyboardInterrupt, so that it ends a script as Ctrl-C does wherever nobody asks for the outcomes.

    Attributes
    ----------
    outcomes : list of Outcome
        What those came to.
    failed : dict of (str, int) to Exception
        What had stopped others before, by method and seed.
    """

    def __init__(self, message: str, outcomes: list | None = None, failed: dict | None = None) -> None:
        super().__init__(message)
        self.outcomes, self.failed = outcomes or [], failed or {}


class ProbeFormatError(Head2ToeError):
    """A probe folder that cannot be read."""


def some_of(names: list[str], most: int = 5) -> str:
    """The first few names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def and_more(count: int) -> str:
    """What follows the first of `count` things that is named: " (and 4 more)", nothing where it is the only one."""
    return f" (and {count - 1} more)" if count > 1 else ""


def one_line(error: BaseException) -> str:
    """What an error says, in a line of at most 300 characters without colours; its class where it says nothing."""
    import re  # only for an error: catching these costs no import

    plain = re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", str(error))  # ANSI escapes, which torch writes
    return " ".join(plain.split())[:300] or type(error).__name__
