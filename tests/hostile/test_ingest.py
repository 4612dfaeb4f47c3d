"""The confined child: good files arrive whole, a dying, hanging or lying child is an unreadable file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import anndata
import files
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from files import CANARY, EXPECTED, GENES, N_CELLS, REQUESTS, ROWS, values
from lanner import ingest as module
from lanner.errors import ErrorClass, InfrastructureError, PredictionError
from lanner.ingest import Expectation, IngestResult, ingest
from lanner.ingest_child import MEMORY_BYTES

SOURCE = "prediction.h5ad"


def landlock_abi() -> int:
    code = "import sys; from lanner.ingest_child import confine; print(confine(sys.executable))"
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)


def read(tmp_path: Path, expectation: Expectation = EXPECTED, timeout_s: float = 30) -> IngestResult:
    return ingest(
        tmp_path / SOURCE, rows=expectation, destination=tmp_path / "canonical", timeout_s=timeout_s
    )


def refusal(tmp_path: Path, timeout_s: float = 30) -> PredictionError:
    with pytest.raises(PredictionError) as caught:
        read(tmp_path, timeout_s=timeout_s)
    assert [path.name for path in tmp_path.iterdir() if "canonical" in path.name] == []
    return caught.value


def as_anndata(X: np.ndarray | sp.csr_matrix, rows: list[str]) -> anndata.AnnData:
    obs = pd.DataFrame({"answered": [row.split("/")[0] != "r2" for row in rows]}, index=rows)
    return anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=list(GENES)))


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_what_anndata_writes_arrives_exactly(tmp_path: Path, sparse: bool, compression: str | None) -> None:
    X = sp.csr_matrix(values()) if sparse else values()
    as_anndata(X, ROWS).write_h5ad(tmp_path / SOURCE, compression=compression)
    result = read(tmp_path)
    assert (result.kind, result.n_cells, result.matrix.is_sparse) == ("cells", N_CELLS, sparse)
    assert result.answered.tolist() == [request != "r2" for request in REQUESTS]
    (_, _, block), *more = result.matrix.blocks()
    assert not more
    assert np.array_equal(block.toarray() if sparse else block, values())


def test_as_many_rows_as_requests_are_profiles(tmp_path: Path) -> None:
    as_anndata(values()[: len(REQUESTS)], list(REQUESTS)).write_h5ad(tmp_path / SOURCE)
    result = read(tmp_path)
    assert (result.kind, result.n_cells, result.matrix.shape) == ("profiles", 1, (len(REQUESTS), len(GENES)))


def test_a_matrix_of_many_blocks_arrives_whole(tmp_path: Path) -> None:
    requests, genes = tuple(f"r{i}" for i in range(40)), tuple(f"g{i}" for i in range(3000))
    rows = [f"{request}/{cell}" for request in requests for cell in range(150)]
    X = sp.random(len(rows), len(genes), 0.6, "csr", np.float32, np.random.default_rng(0))
    anndata.AnnData(X, obs=pd.DataFrame(index=rows), var=pd.DataFrame(index=list(genes))).write_h5ad(
        tmp_path / SOURCE
    )
    expectation = Expectation.on_scale("log1p-cp10k", request_ids=requests, n_cells=150, genes=genes)
    result = read(tmp_path, expectation)
    blocks = [block for _, _, block in result.matrix.blocks()]
    assert len(blocks) > 1
    assert (sp.vstack(blocks) != X).nnz == 0


def test_equal_content_has_an_equal_hash_whatever_its_encoding(tmp_path: Path) -> None:
    hashes = set()
    for i, compression in enumerate((None, "gzip", "lzf")):
        folder = tmp_path / str(i)
        folder.mkdir()
        files.write_good(folder / SOURCE, compression=compression)
        hashes.add(read(folder).content_sha256)
    assert len(hashes) == 1


@pytest.mark.parametrize(
    "build", [files.external_link_at_matrix, files.raw_storage_of_the_truth, files.billion_laughs]
)
def test_a_hostile_file_is_refused_through_the_child_as_well(build: files.Builder, tmp_path: Path) -> None:
    files.write_truth(tmp_path / "truth.h5ad")
    build(tmp_path / SOURCE, tmp_path / "truth.h5ad")
    error = refusal(tmp_path)
    assert (error.code, error.error_class) == ("link", ErrorClass.INVALID_OUTPUT)


@pytest.mark.parametrize(
    "program",
    [
        "import ctypes; ctypes.string_at(0)",
        "import os; os._exit(3)",
        "print('nonsense')",
        "print('[1, 2]')",
        "print('x' * (1 << 20))",
        'print(\'{"ok": true, "n_rows": 18, "sparse": false}\')',
    ],
)
def test_a_child_that_dies_or_talks_nonsense_means_an_unreadable_file(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write_good(tmp_path / SOURCE)
    monkeypatch.setattr(module, "CHILD", ("-c", program))
    assert refusal(tmp_path).code == "unreadable"


def test_a_child_that_hangs_is_killed_on_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write_good(tmp_path / SOURCE)
    monkeypatch.setattr(module, "CHILD", ("-c", "import time; time.sleep(60)"))
    began = time.monotonic()
    assert refusal(tmp_path, timeout_s=1).code == "unreadable"
    assert time.monotonic() - began < 5


@pytest.mark.timeout(10)
def test_what_is_no_file_is_missing_and_nothing_waits_for_it(tmp_path: Path) -> None:
    assert refusal(tmp_path).code == "missing"
    os.mkfifo(tmp_path / SOURCE)
    assert refusal(tmp_path).code == "missing"


TAKEN_OVER = """
import sys, json, numpy as np
folder = sys.argv[2]
parts = dict({parts})
for name in ("values", "indices", "indptr", "answered"):
    np.save(f"{{folder}}/{{name}}.npy", parts.get(name, np.zeros(0)))
print(json.dumps({{"ok": True, "n_rows": 18, "sparse": {sparse}}}))
"""


@pytest.mark.parametrize(
    ("sparse", "parts"),
    [
        (False, "values=np.full((18, 8), np.nan, 'f4')"),
        (False, "values=np.zeros((18, 8), 'f8')"),
        (False, "values=np.zeros((17, 8), 'f4')"),
        (False, "values=np.array([{}], object)"),
        (True, "values=np.ones(2, 'f4'), indices=np.array([0, 99999], 'i4'), indptr=np.r_[0, [2] * 18]"),
        (True, "values=np.ones(2, 'f4'), indices=np.array([3, 3], 'i4'), indptr=np.r_[0, [2] * 18]"),
        (True, "values=np.ones(2, 'f4'), indices=np.array([0, 1], 'i4'), indptr=np.r_[0, [9**9] * 17, 2]"),
        (True, "values=np.ones(2, 'f4'), indices=np.array([0], 'i4'), indptr=np.r_[0, [2] * 18]"),
    ],
)
def test_a_child_taken_over_by_the_file_cannot_pass_on_a_bad_matrix(
    sparse: bool, parts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write_good(tmp_path / SOURCE)
    program = TAKEN_OVER.format(parts=f"answered=np.ones(18, bool), {parts}", sparse=sparse)
    monkeypatch.setattr(module, "CHILD", ("-c", program))
    assert refusal(tmp_path).code == "unreadable"


ATTEMPTS = {
    "read a file": "open('/etc/passwd').read()",
    "read its environment": "open('/proc/self/environ').read()",
    "list a folder": "os.listdir('/')",
    "write a file": "open(sys.argv[1] + '.breach', 'w')",
    "open the source for writing": "open(sys.argv[1], 'r+b')",
    "run a program": "os.execv('/bin/true', ['true'])",
    "connect": "import _socket; _socket.socket().connect(('127.0.0.1', 9))",
    "signal the parent": "os.kill(os.getppid(), 0)",
    "become root": "os.setuid(0); os.chown(sys.argv[1], 1, 1)",
}


@pytest.mark.skipif(landlock_abi() < 6, reason="this kernel's Landlock cannot deny all of this")
@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS.keys())
def test_behind_the_door_the_child_may_not(attempt: str, tmp_path: Path) -> None:
    source = tmp_path / SOURCE
    source.write_bytes(b"good")
    program = (
        "import os, sys, _socket; from lanner.ingest_child import confine; confine(sys.argv[1]);"
        "assert open(sys.argv[1], 'rb').read() == b'good'\n"
        f"try:\n    {attempt}\nexcept OSError as error:\n    print('denied', error.errno)"
    )
    done = subprocess.run([sys.executable, "-c", program, source], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("denied"), done


@pytest.mark.skipif(os.geteuid() != 0 or landlock_abi() < 1, reason="needs root and Landlock")
def test_a_harness_run_by_root_reads_a_file_in_somebody_s_closed_folder(tmp_path: Path) -> None:
    closed = tmp_path / "home"
    closed.mkdir()
    files.write_good(closed / SOURCE)
    for path in (closed / SOURCE, closed):
        path.chmod(0o700)
        os.chown(path, 12345, 12345)
    assert ingest(closed / SOURCE, rows=EXPECTED, destination=tmp_path / "canonical").kind == "cells"


def test_the_result_says_what_held_the_child(tmp_path: Path) -> None:
    files.write_good(tmp_path / SOURCE)
    held = read(tmp_path).confinement
    assert held == module.confinement()
    assert held.startswith("landlock" if landlock_abi() else "a root folder of its own")


WITHOUT_LANDLOCK = "import lanner.ingest_child as c; c.landlock_abi = lambda: 0; "


def without_landlock(monkeypatch: pytest.MonkeyPatch, more: str = "") -> None:
    monkeypatch.setattr(module, "CHILD", ("-I", "-c", f"{WITHOUT_LANDLOCK}{more}c.main()"))


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user can cross and write to, and an empty file in it."""
    with tempfile.TemporaryDirectory(prefix="lanner-jail-") as folder:
        path = Path(folder)
        path.chmod(0o777)
        (path / SOURCE).write_bytes(b"good")
        yield path


JAILED = """
import os, sys, _socket
from pathlib import Path
from lanner.ingest_child import jail
parent = os.getppid()
if user := {user}:  # only now: the interpreter may lie where only we can read it
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
os.chdir(sys.argv[2])
inside = jail(sys.argv[1], Path(sys.argv[2]))
if inside is None:
    print("no user namespaces here")
    raise SystemExit
assert open(inside, 'rb').read() == b'good'
try:
    {attempt}
except OSError as error:
    print("denied", error.errno)
"""
JAIL_ATTEMPTS = {
    **ATTEMPTS,
    "read the source by its own path": "open(sys.argv[1]).read()",
    "leave by the parent folder": "open('../../etc/passwd').read()",
    "signal the harness": "os.kill(parent, 0)",
    "make a root folder again": "os.chroot('/')",
    "write over what it reads": "open(inside, 'r+b')" if os.geteuid() == 0 else "open('/none')",
}
del JAIL_ATTEMPTS["signal the parent"], JAIL_ATTEMPTS["list a folder"]  # there is nobody and nothing to see


@pytest.mark.parametrize("user", [None, 12345], ids=["as we are", "as somebody"])
@pytest.mark.parametrize("attempt", JAIL_ATTEMPTS.values(), ids=JAIL_ATTEMPTS.keys())
def test_without_landlock_a_root_folder_of_its_own_denies_the_child_the_same(
    attempt: str, user: int | None, open_folder: Path
) -> None:
    if user is not None and os.geteuid() != 0:
        pytest.skip("only root can become somebody")
    if user is not None and "inside" in attempt:
        pytest.skip("without root the copy is its reader's own, and only the copy")
    program = JAILED.format(attempt=attempt, user=user)
    done = subprocess.run(
        [sys.executable, "-c", program, open_folder / SOURCE, open_folder],
        capture_output=True,
        text=True,
        env=module._environment(),
        check=True,
    )
    if done.stdout.startswith("no user namespaces"):
        pytest.skip("this machine allows nobody user namespaces")
    assert done.stdout.startswith("denied"), done
    assert (open_folder / SOURCE).read_bytes() == b"good"


def test_in_there_is_one_process_and_one_file(open_folder: Path) -> None:
    attempt = "print(os.getpid(), os.listdir('/'), os.getuid() != 0 or 'root')"
    done = subprocess.run(
        [sys.executable, "-c", JAILED.format(attempt=attempt, user=None), open_folder / SOURCE, open_folder],
        capture_output=True,
        text=True,
        env=module._environment(),
        check=True,
    )
    assert done.stdout.strip() == f"1 ['{SOURCE}'] True"


def test_without_landlock_a_good_file_arrives_and_nothing_of_the_jail_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write_good(tmp_path / SOURCE)
    expected = read(tmp_path).content_sha256
    shutil.rmtree(tmp_path / "canonical")
    without_landlock(monkeypatch)
    result = read(tmp_path)
    assert result.content_sha256 == expected
    assert result.confinement == "a root folder of its own, rlimits"
    assert {path.suffix for path in result.folder.iterdir()} == {".npy"}


@pytest.mark.parametrize("build", [files.external_link_at_matrix, files.raw_storage_of_the_truth])
def test_without_landlock_and_without_our_checks_the_truth_is_still_out_of_reach(
    build: files.Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write_truth(tmp_path / "truth.h5ad")
    build(tmp_path / SOURCE, tmp_path / "truth.h5ad")
    naive = "import h5py; c.read = lambda source, *_: "
    naive += "{'ok': False, 'code': 'read', 'message': repr(h5py.File(source)['X'][:])}; "
    without_landlock(monkeypatch, naive)
    error = refusal(tmp_path)
    assert error.code == "unreadable" and str(CANARY) not in str(error)
    monkeypatch.setattr(
        module, "CHILD", ("-I", "-c", f"{WITHOUT_LANDLOCK}c.jail = lambda *_: None; {naive}c.main()")
    )
    monkeypatch.setenv(module.UNCONFINED_VARIABLE, "1")
    assert refusal(tmp_path).code == "read", "without any wall it is read: the test itself holds"


def test_a_hostile_file_hangs_or_kills_a_jailed_child_no_differently(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write_good(tmp_path / SOURCE)
    without_landlock(monkeypatch, "import ctypes; c.read = lambda *_: ctypes.string_at(0); ")
    assert "signal 11" in str(refusal(tmp_path))
    without_landlock(monkeypatch, "import time; c.read = lambda *_: time.sleep(60); ")
    began = time.monotonic()
    assert refusal(tmp_path, timeout_s=3).code == "unreadable"
    assert time.monotonic() - began < 30


def test_where_nothing_holds_the_reader_nothing_is_read_unless_a_person_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write_good(tmp_path / SOURCE)
    without_landlock(monkeypatch, "c.jail = lambda *_: None; ")
    with pytest.raises(
        InfrastructureError, match=r"none is read: use Linux 5\.13.*LANNER_UNCONFINED_READING=1"
    ):
        read(tmp_path)
    with pytest.raises(InfrastructureError):
        module.confinement()
    assert not (tmp_path / "canonical").exists()
    monkeypatch.setenv(module.UNCONFINED_VARIABLE, "1")
    assert read(tmp_path).confinement == "rlimits only" == module.confinement()


def test_a_large_prediction_is_read_within_the_memory_limit(tmp_path: Path) -> None:
    """600 MB as float64, refused only at its last row: 1.25 GiB of address space was enough to get there."""
    genes, requests = tuple(f"g{i}" for i in range(5000)), tuple(f"r{i}" for i in range(15_000))
    with files.h5py.File(tmp_path / SOURCE, "w") as file:
        files.write_names(file, list(requests), genes)
        X = file.create_dataset("X", (15_000, 5000), np.float64)
        for start in range(0, 15_000, 1000):
            X[start : start + 1000] = 0.5
        X[-1, -1] = np.nan
    expectation = Expectation.on_scale("log1p-cp10k", request_ids=requests, n_cells=10, genes=genes)
    assert MEMORY_BYTES < 1.5 * 2**30
    with pytest.raises(PredictionError, match="the first in row 'r14999', gene 'g4999'"):
        read(tmp_path, expectation)


def test_no_value_of_the_truth_is_in_any_message(tmp_path: Path) -> None:
    files.write_truth(tmp_path / "truth.h5ad")
    files.raw_storage_of_the_truth(tmp_path / SOURCE, tmp_path / "truth.h5ad")
    assert str(CANARY) not in str(refusal(tmp_path))
    assert os.fspath(tmp_path) not in str(refusal(tmp_path))
