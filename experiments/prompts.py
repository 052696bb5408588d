"""The texts of --prompt or --input, for the commands that take both."""

from collections.abc import Sequence
from pathlib import Path

from plmjax.errors import UserError


def read_texts(prompts: Sequence[str], file: Path | None) -> list[str]:
    """The prompts, or the lines of a file that are not blank.

    Raises:
        UserError: neither or both are given, or the file can't be read or has no text.
    """
    if bool(prompts) == (file is not None):
        raise UserError("Give the texts by --prompt (repeat it for several) or by --input=FILE.")
    if file is None:
        return list(prompts)
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--input={file} can't be read as UTF-8 text: {error}.") from error
    texts = [line for line in lines if line.strip()]
    if not texts:
        raise UserError(f"--input={file} has no text: write one text a line.")
    return texts
