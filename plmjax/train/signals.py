"""SIGTERM and SIGINT as a wish that the loop grants between two steps."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType


@dataclass(slots=True)
class Stop:
    """A request to stop, and the signal that made it."""

    requested: bool = False
    name: str = ""


@contextlib.contextmanager
def stop_signals() -> Iterator[Stop]:
    """While it lasts, the first SIGTERM or SIGINT sets `requested`; a second SIGINT interrupts at once.

    Outside the main thread, where Python cannot handle signals, it changes nothing.
    """
    stop = Stop()

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.requested, stop.name = True, signal.Signals(number).name

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
