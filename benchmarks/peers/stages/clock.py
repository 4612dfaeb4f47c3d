"""What a stage took: CPU seconds of all threads, wall seconds, peak memory of the process."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class Clock:
    """Times what happens inside its ``with`` block."""

    cpu_s = wall_s = 0.0

    def __enter__(self) -> Self:
        self._start = time.process_time(), time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cpu_s = time.process_time() - self._start[0]
        self.wall_s = time.perf_counter() - self._start[1]

    def report(self, **notes: Any) -> None:
        """Print the figures as JSON; ``share`` below 1 says that only so much of the work was done."""
        status = Path("/proc/self/status").read_text(
            encoding="ascii"
        )  # rusage counts the parent's memory too
        peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
        print(json.dumps({"cpu_s": self.cpu_s, "wall_s": self.wall_s, "peak_mb": peak, "share": 1.0} | notes))
