"""How every script starts: absl flags, one call, and one line in place of a traceback for a user's mistake."""

import sys
from collections.abc import Callable

from absl import app

from plmjax.errors import UserError


def run(main: Callable[[], None]) -> None:
    """Parses the flags and calls `main()`.

    A `UserError` is printed as one line on standard error and ends the script with exit status 2; so does a positional
    argument, which no script takes.
    """

    def guarded(argv: list[str]) -> None:
        try:
            if len(argv) > 1:
                raise UserError(f"Unexpected argument {argv[1]!r}: every option is a flag, see --help.")
            main()
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)

    app.run(guarded)
