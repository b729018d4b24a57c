"""The Hugging Face hub: files already on this machine first, then the network, and a quick word when there is none."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.error import URLError
from urllib.parse import urlsplit

from head2toe.errors import HubUnreachableError

T = TypeVar("T")
ONE_AT_A_TIME = threading.RLock()
"""Held where a library's switch is thrown that holds for the whole process: two threads would leave it thrown."""
PATIENCE = 3.0  # seconds to open one connection; the hub client itself would retry for three quarters of a minute


def local_first(make: Callable[[], T], name: str, cure: str) -> T:
    """Call `make` with the hub switched off, and again with it on if files are missing here.

    Parameters
    ----------
    make
        Without arguments; what it returns is returned.
    name
        Of the backbone, for the message.
    cure
        What to use where there is no hub, for the message.

    Raises
    ------
    HubUnreachableError
        The files are not on this machine and the hub cannot be reached.
    """
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    # The last is of the few checkpoints that timm takes from another site than the hub.
    missing = (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, ConnectionError, URLError)
    with ONE_AT_A_TIME:
        try:
            with hub_switched_off():
                return make()
        except missing as error:
            if not reachable():
                raise _unreachable(name, error, cure) from error
        try:
            return make()
        except missing as error:
            raise _unreachable(name, error, cure) from error


@contextmanager
def hub_switched_off() -> Iterator[None]:
    """Make the hub client use its cache alone, in this process, for as long as the context lasts."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def reachable() -> bool:
    """Whether a connection to the hub opens within `PATIENCE` seconds, and offline mode is not wanted."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    address = urlsplit(constants.ENDPOINT)
    return opens(address.hostname or "", address.port or 443)


def opens(host: str, port: int = 443) -> bool:
    """Whether a connection opens within `PATIENCE` seconds."""
    try:
        socket.create_connection((host, port), timeout=PATIENCE).close()
    except OSError:
        return False
    return True


def cached_commit(repository: str, revision: str | None = None) -> str | None:
    """The commit of a repository's description in this machine's cache, None where it is not there."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, "config.json", revision=revision)
    return Path(found).parent.name if isinstance(found, str) else None


def _unreachable(name: str, error: BaseException, cure: str) -> HubUnreachableError:
    return HubUnreachableError(
        f"{name} is not on this machine and the hub cannot be reached ({type(error).__name__}): use {cure}"
    )
