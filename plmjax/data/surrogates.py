"""Halves of surrogate pairs, which cut emoji leave in scraped JSON ("\\ud83d") and which no encoding of Unicode has."""

import json
import re
from typing import Any

SURROGATES = re.compile("[\ud800-\udfff]")
REPLACEMENT = "\ufffd"


def without_surrogates(text: str) -> str:
    """The text with U+FFFD for each half of a surrogate pair; no other character moves."""
    return text if text.isascii() else SURROGATES.sub(REPLACEMENT, text)


def loads(text: str) -> Any:
    """Reads JSON, with U+FFFD for each half of a surrogate pair in its strings; raises as json.loads does."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise json.JSONDecodeError("Nested too deeply", text, 0) from None
    return _replaced(value) if "\\u" in text or not text.isascii() else value


def _replaced(value: Any) -> Any:
    if isinstance(value, str):
        return without_surrogates(value)
    if isinstance(value, list):
        return [_replaced(one) for one in value]
    if isinstance(value, dict):
        return {without_surrogates(name): _replaced(one) for name, one in value.items()}
    return value
