"""What a person sees of a training: a line that renews itself on a terminal, plain lines in a log."""

import sys
import time

from dbot.base import durations


class Progress:
    """Progress lines with loss, learning rate, images/s, the share of time spent waiting for data, and time left."""

    def __init__(self, title: str, epochs: int, total_steps: int, first_step: int, every: float, speaks: bool) -> None:
        self.title = title
        self.epochs = epochs
        self.total_steps = total_steps
        self.first_step = first_step
        self.every = 0.2 if sys.stdout.isatty() else every
        self.speaks = speaks
        self.started = self.last = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time for a line; asked before anything is fetched from a GPU."""
        return self.speaks and time.monotonic() - self.last >= self.every

    def show(self, step: int, epoch: int, loss: float, rate: float, images_per_second: float, data_wait: float) -> None:
        """Print where the training is after ``step`` steps."""
        self.last = time.monotonic()
        left = (self.last - self.started) / max(1, step - self.first_step) * (self.total_steps - step)
        self._write(
            f"{self.title}  epoch {epoch}/{self.epochs}  step {step}/{self.total_steps}  loss {loss:.4f}  lr {rate:.2e}  "
            f"{images_per_second:,.0f} images/s  data wait {data_wait:.0%}  {durations.clock(left)} left"
        )

    def say(self, text: str) -> None:
        """Print a line that stays."""
        if self.speaks:
            self._write(f"{self.title}  {text}", stays=True)

    def _write(self, text: str, stays: bool = False) -> None:
        if sys.stdout.isatty():
            print(f"\r\x1b[2K{text}", end="\n" if stays else "", flush=True)
        else:
            print(text, flush=True)
