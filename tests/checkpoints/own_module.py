"""A user's own module, which plmjax does not import by itself."""

from dataclasses import dataclass


@dataclass(slots=True)
class Own:
    """A dataclass outside plmjax."""

    value: int

    @dataclass(slots=True)
    class Inner:
        """A dataclass inside another class."""

        value: int
