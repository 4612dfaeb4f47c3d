"""Hand over predictions that were made elsewhere, by a model too closed or too large to be run here.

Nothing is run, so nothing is known of how they were made, or from what: intake treats the file as it treats
a container's, rows carry ``predictions only, not re-run``, and none of them is ranked.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lanner.errors import ConfigurationError, ErrorClass
from lanner.methods import Method
from lanner.records import Limits, Outcome
from lanner.runners import RUNNERS

FOLDER = "predictions"
"""Where a method of this kind keeps its files."""
NOT_RERUN = "predictions only, not re-run"
"""What its rows say."""


class PredictionsRunner:
    """Copies the file of the dataset and split that is asked for; a method without one does not apply."""

    kind = "predictions"

    def prepare(self, method: Method) -> Mapping[str, Any]:
        """Nothing to prepare; returns provenance."""
        return {"runner": self.kind, "not_rerun": True}

    def run(
        self,
        method: Method,
        *,
        input_dir: Path,
        output_dir: Path,
        log_dir: Path,
        environment: Mapping[str, str],
        limits: Limits,
        labels: Mapping[str, str],
    ) -> Outcome:
        """Copy the file; see ``Runner.run``.

        Raises
        ------
        ConfigurationError
            The file is gone, is not the one that was added, or there is one by id and another by sha256.
        """
        began = time.monotonic()
        task = json.loads((input_dir / "task.json").read_text(encoding="utf-8"))
        for log in ("stdout.log", "stderr.log"):
            (log_dir / log).touch()
        name = file_of(method, task["dataset"]["id"], task["split"]["id"], task["split"]["sha256"])
        if name is None:
            return Outcome(
                error_class=ErrorClass.NOT_APPLICABLE,
                exit_code=None,
                message=f"it has no predictions for {task['dataset']['id']} {task['split']['id']}",
                provenance=self.prepare(method),
            )
        assert method.folder is not None, "predictions lie in a folder"
        target = output_dir / "prediction.h5ad"
        try:
            shutil.copyfile(method.folder / FOLDER / name, target)
            with target.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except FileNotFoundError:
            raise ConfigurationError(f"{method.name} has lost {name}; add it again with --replace") from None
        if digest != method.predictions[name]:
            raise ConfigurationError(
                f"{name} of {method.name} is not the file that was added; add it again with --replace"
            )
        return Outcome(
            error_class=None,
            exit_code=None,
            message="the file was handed over",
            usage={"wall_seconds": time.monotonic() - began, "output_mb": target.stat().st_size / (1 << 20)},
            provenance=self.prepare(method),
        )


def file_of(method: Method, dataset: str, split_id: str, split_sha256: str) -> str | None:
    """Name of the method's file for a split, by the split's id or its sha256."""
    names = [f"{dataset}/{split}.h5ad" for split in (split_id, split_sha256)]
    found = [name for name in names if name in method.predictions]
    if len(found) > 1:
        raise ConfigurationError(f"{method.name} has both {found[0]} and {found[1]}; remove one")
    return found[0] if found else None


RUNNERS.add("predictions", PredictionsRunner)
