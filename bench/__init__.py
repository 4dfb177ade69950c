import statistics
import time
from collections.abc import Callable


def milliseconds(work: Callable[[], object], rounds: int = 5) -> float:
    """The median of so many runs."""
    took = []
    for _n in range(rounds):
        begin = time.perf_counter()
        work()
        took.append((time.perf_counter() - begin) * 1000)
    return statistics.median(took)
