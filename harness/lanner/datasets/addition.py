"""Put a proposed entry into the registry, once its data have loaded and passed their checks."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from lanner import schemas
from lanner.config import Settings
from lanner.datasets.dataset import Dataset, load
from lanner.datasets.entry import MANIFEST, read_entry
from lanner.datasets.fetch import Progress
from lanner.datasets.proposal import Proposal
from lanner.datasets.quality import check
from lanner.errors import ConfigurationError


def add(
    proposal: Proposal, settings: Settings, progress: Progress | None = None
) -> tuple[Dataset, list[dict[str, Any]]]:
    """Write the entry to ``$LANNER_HOME/datasets`` and load it; the dataset, and the findings of its checks.

    A source that contradicts the entry leaves nothing behind.

    Raises
    ------
    ConfigurationError
        The id is taken, or the data are not what the entry says.
    """
    name = str(proposal.document["id"])
    taken = settings.entries("datasets", MANIFEST).get(name)
    if taken is not None:
        raise ConfigurationError(
            f"a dataset {name!r} exists in {taken}; give another --id, or remove that folder"
        )
    home = settings.home / "datasets"
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".adding-", dir=home) as partial:
        folder = Path(partial) / name
        folder.mkdir()
        (folder / MANIFEST).write_text(schemas.dump_yaml(proposal.document), encoding="utf-8")
        if proposal.prepare is not None:
            (folder / "prepare.py").write_text(proposal.prepare, encoding="utf-8")
        findings = check(load(read_entry(folder), settings, progress))
        failed = [line for line in findings if line["level"] == "error" and not line["passed"]]
        if failed:
            raise ConfigurationError(
                f"{name}: {failed[0]['fact']}: expected {failed[0]['expected']}, found "
                f"{failed[0]['observed']}; correct the file, or say with options of dataset add what it is"
            )
        shutil.rmtree(folder / "__pycache__", ignore_errors=True)
        folder.rename(home / name)
    return load(read_entry(home / name), settings), findings
