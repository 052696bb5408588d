"""Progress with rate and time left: a bar on a terminal, a line now and then elsewhere."""

import sys
import time

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 10.0


class ProgressLine:
    """Shows how far some work is: silent when `shown` is False, and off a terminal for the first seconds."""

    def __init__(self, what: str, unit: str, shown: bool = True):
        self._what = what
        self._unit = unit
        self._shown = shown
        self._begin = self._last = time.monotonic()
        self._bar = None
        if shown and sys.stderr.isatty():
            form = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
            self._bar = tqdm(total=1.0, desc=what, bar_format=form)

    def update(self, fraction: float, count: int) -> None:
        """Reports the share done, in [0, 1], and how many units of work this run has done."""
        now = time.monotonic()
        rate = count / max(now - self._begin, 1e-9)
        if self._bar is not None:
            self._bar.set_postfix_str(f"{count:,} {self._unit}, {rate:,.0f}/s", refresh=False)
            self._bar.update(fraction - self._bar.n)
        elif self._shown and now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            left = (now - self._begin) * (1 - fraction) / max(fraction, 1e-9)
            print(
                f"{self._what}: {fraction:.0%}, {count:,} {self._unit}, {rate:,.0f}/s, {clock(left)} left",
                file=sys.stderr,
                flush=True,
            )

    def close(self) -> None:
        """Ends the bar's line."""
        if self._bar is not None:
            self._bar.close()


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss or m:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
