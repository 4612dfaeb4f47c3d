"""A virtual environment per peer: made once, from its pinned requirements, or taken from where they are."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
PEERS = {"cell-eval": "cell_eval", "gge": "gge", "pertpy": "pertpy", "scperteval": "scperteval"}
"""Peers, and the script in ``runners`` that runs each."""
NETWORK_PEERS = {"causalbench": "causalbench"}
"""The same for peers that judge networks; they are run on other data."""
ALONE = {"causalbench": "causalbench==1.1.2"}
"""Packages installed without what they require: two hundred packages of methods, unused by the evaluation."""
DEFAULT = REPOSITORY / "benchmarks" / "out" / "environments"


def python(peer: str, folder: Path) -> Path:
    """The interpreter of a peer's environment under ``folder``, which is made if it is not there.

    torch goes in first and alone, as in ``make setup``: a requirement of it could pull another build.
    """
    environment = folder / peer
    found = environment / "bin" / "python"
    done = environment / ".installed"
    if found.exists() and (done.exists() or folder != DEFAULT):
        return found
    print(f"making the environment of {peer} in {environment}", file=sys.stderr)
    venv.create(environment, with_pip=True, clear=True)
    install = [found, "-m", "pip", "install", "--quiet"]
    for requirements in (peer,) if peer in ALONE else ("torch", peer):
        file = HERE / "requirements" / f"{requirements}.txt"
        subprocess.run([*install, "--requirement", file], check=True)
    if peer in ALONE:
        subprocess.run([*install, "--no-deps", ALONE[peer]], check=True)
    done.touch()
    return found


def run(peer: str, folder: Path, *arguments: str, module: str | None = None) -> None:
    """Run ``python -m module`` (by default the peer's script in ``runners``) in the peer's environment."""
    name = module or f"benchmarks.peers.runners.{(PEERS | NETWORK_PEERS)[peer]}"
    done = subprocess.run(
        [python(peer, folder), "-W", "ignore", "-m", name, *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{peer} failed on {name}:\n{done.stderr[-2000:]}")
