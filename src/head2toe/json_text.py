"""JSON for people to read, of anything that may stand in a path."""

from __future__ import annotations

import json
import re
from typing import Any

_SURROGATES = re.compile("[\ud800-\udfff]")


def json_text(value: Any, *, ensure_ascii: bool = False, **options: Any) -> str:
    """As `json.dumps`; bytes of file names that are no text (surrogates) stand as escapes, so that the text is UTF-8.

    Parameters
    ----------
    ensure_ascii
        Whether letters beyond ASCII are escapes too.
    """
    text = json.dumps(value, ensure_ascii=ensure_ascii, **options)
    return _SURROGATES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
