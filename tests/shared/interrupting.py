"""Functions that count their calls and are interrupted after some."""

from functools import wraps


class Counter:
    """Calls of all functions that it wrapped; ``stop`` is the number after which the next is a Ctrl-C."""

    def __init__(self):
        self.n, self.stop = 0, None

    def wrapped(self, function):
        @wraps(function)
        def counting(*args, **kwargs):
            if self.n == self.stop:
                raise KeyboardInterrupt
            self.n += 1
            return function(*args, **kwargs)

        return counting
