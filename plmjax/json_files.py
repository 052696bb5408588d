"""Files that are to hold one JSON object, as those beside foreign checkpoints and tokenizers."""

import json
from pathlib import Path
from typing import Any

from plmjax.errors import UserError


def read_object(file: Path) -> dict[str, Any]:
    """The object in a file; a byte order mark at its head is left off.

    Raises:
        UserError: it is not JSON, or no object.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} is not JSON ({error}): fetch it again, or correct it.") from error
    if not isinstance(content, dict):
        raise UserError(f"{file} is a JSON {type(content).__name__}, not an object: fetch it again, or correct it.")
    return content
