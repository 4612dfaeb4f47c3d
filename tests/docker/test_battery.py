"""What methods ordinarily need works inside the sandbox, with the libraries that are known to need it.

What the standard library can show is on the probe's second list (test_sandbox.py); this is the rest.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from lanner.methods import Method, load
from lanner.records import Limits, Outcome
from lanner.runners.docker import DockerRunner
from running import Run

pytestmark = pytest.mark.docker

MANIFEST = """
name: {name}
version: "1"
label: Battery
summary: Uses what methods ordinarily use.
licence: MIT
command: [python, need.py]
tasks: [none]
"""
PYTHON = """
FROM python:3.11-slim-bookworm
RUN pip install --no-cache-dir torch==2.13.0 numba matplotlib
WORKDIR /method
COPY . /method
USER 10001
"""
R = """
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends r-base-core gcc libc6-dev
WORKDIR /method
COPY . /method
USER 10001
"""
NEEDS = {
    "numba.py": """
import numba, os, pathlib
@numba.njit(cache=True)
def double(x): return 2 * x
assert double(21) == 42
assert list(pathlib.Path(os.environ["NUMBA_CACHE_DIR"]).rglob("*.nbi"))
assert numba.config.NUMBA_NUM_THREADS == 2
""",
    "matplotlib.py": """
import os, pathlib, warnings
warnings.simplefilter("error")
import matplotlib
matplotlib.use("agg")
from matplotlib import pyplot
pyplot.plot([1, 2]); pyplot.savefig("/output/figure.png")
assert matplotlib.get_configdir() == os.environ["MPLCONFIGDIR"]
assert list(pathlib.Path(matplotlib.get_cachedir()).glob("fontlist*"))
""",
    "torch.py": """
import torch
from torch.utils.data import DataLoader, TensorDataset
assert torch.get_num_threads() == 2
rows = torch.ones(64, 1 << 18)  # batches of 8 MB pass through shared memory, 64 MB of Docker's default in all
if __name__ == "__main__":
    batches = list(DataLoader(TensorDataset(rows), batch_size=8, num_workers=2))
    assert sum(batch[0].sum() for batch in batches) == rows.numel()
""",
    "own_library.py": """
import ctypes, glob, shutil, tempfile
folder = tempfile.mkdtemp()
shutil.copy(glob.glob("/usr/l*/**/libc.so.6", recursive=True)[0], folder + "/libown.so")
assert ctypes.CDLL(folder + "/libown.so").abs(-3) == 3
""",
}
R_NEED = """
path <- tempfile(); saveRDS(1:10, path); stopifnot(identical(readRDS(path), 1:10), startsWith(path, "/tmp"))
stopifnot(nchar(Sys.info()[["user"]]) > 0, file.access(path.expand("~"), 2) == 0)
library(parallel); stopifnot(sum(unlist(mclapply(1:4, identity, mc.cores = 2))) == 10)
"""


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str, dict[str, str]], Method]:
    """Build a method from a Dockerfile and files, once for its content."""

    def build(name: str, dockerfile: str, files: dict[str, str]) -> Method:
        folder = tmp_path_factory.mktemp("methods") / name
        folder.mkdir()
        contents = {"method.yaml": MANIFEST.format(name=name), "Dockerfile": dockerfile, **files}
        for file, content in contents.items():
            (folder / file).write_text(content)
        method = load(folder)
        DockerRunner().prepare(method)
        return method

    return build


def ran(method: Method, command: list[str], folder: Path) -> Outcome:
    (folder / "input").mkdir(mode=0o755)
    return DockerRunner().run(
        replace(method, document={**method.document, "command": command}),
        input_dir=folder / "input",
        output_dir=folder / "attempt" / "output",
        log_dir=folder / "attempt",
        environment={"LANNER_CPUS": "2"},
        limits=Limits(cpus=2, memory_mb=2048, timeout_s=120),
        labels={"lanner.run": "battery"},
    )


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("need", NEEDS)
def test_the_usual_libraries_work_as_they_are(
    need: str, image: Callable[[str, str, dict[str, str]], Method], tmp_path: Path
) -> None:
    files = {f"need_{name}": program for name, program in NEEDS.items()}
    method = image("battery", PYTHON, files)
    outcome = ran(method, ["python", f"need_{need}"], tmp_path)
    assert outcome.error_class is None, (tmp_path / "attempt" / "stderr.log").read_text()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_r_has_its_temporary_files_and_its_workers(
    image: Callable[[str, str, dict[str, str]], Method], tmp_path: Path
) -> None:
    method = image("battery-r", R, {"need.R": R_NEED})
    outcome = ran(method, ["Rscript", "need.R"], tmp_path)
    assert outcome.error_class is None, (tmp_path / "attempt" / "stderr.log").read_text()


def test_threads_follow_the_processors_granted(run: Run, tmp_path: Path) -> None:
    program = "import json, os; print(json.dumps({k: v for k, v in os.environ.items() if 'THREADS' in k}))"
    assert run("python", "-c", program, cpus=2).error_class is None
    stated = json.loads((tmp_path / "attempt" / "stdout.log").read_text())
    assert len(stated) == 4
    assert set(stated.values()) == {"2"}
