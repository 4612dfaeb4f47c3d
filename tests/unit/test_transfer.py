"""Finished runs through a store: whole or not at all, never changed, refused where they are not as they say.

By memory, a folder, and a server that speaks S3 where moto and s3fs are installed: those want an older
python-dateutil than the rest of this repository is tried with.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import boards
import fsspec
import pytest
from lanner import store, transfer
from lanner.config import Settings
from lanner.datasets.entry import Source
from lanner.datasets.fetch import fetch_sources
from lanner.errors import ConfigurationError, InfrastructureError
from lanner.leaderboard.building import Results

FINISHED = 4
"""Of the board's methods, those that have a record; one is not for the task."""


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    return boards.built(tmp_path_factory.getbasetemp() / "board")


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """A bucket of a server on this machine that speaks S3."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    given = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        fsspec.filesystem("s3").mkdir("lab")
        yield "s3://lab/lanner"
    finally:
        server.stop()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@pytest.fixture(params=["memory", "file", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "memory":
        return f"memory://{tmp_path.name}/store"
    if request.param == "file":
        return f"file://{tmp_path}/remote"
    return f"{request.getfixturevalue('s3')}/{tmp_path.name}"


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return f"file://{tmp_path}/remote"


def files(home: Path) -> dict[str, bytes]:
    """What of a home is a result; that of attempts too."""
    found = [path for path in (home / "runs").rglob("*") if path.is_file() and path.name != ".lock"]
    kept = [path for path in found if path.name not in ("exec.log", "placed.json")]
    return {path.relative_to(home).as_posix(): path.read_bytes() for path in kept}


def test_runs_go_there_once_and_come_back_byte_for_byte(
    url: str, board: tuple[Path, Results], tmp_path: Path
) -> None:
    home = board[0] / "home"
    pushed = transfer.push(home, url)
    assert (pushed.moved, pushed.there, pushed.hidden) == (FINISHED, 0, 0)
    again = transfer.push(home, url)
    assert (again.moved, again.there) == (0, FINISHED)
    pulled = transfer.pull(tmp_path / "other", url)
    assert (pulled.moved, pulled.there, pulled.bytes) == (FINISHED, 0, pushed.bytes)
    assert files(tmp_path / "other") == files(home)
    assert transfer.pull(tmp_path / "other", url).there == FINISHED


def test_a_build_after_a_pull_has_nothing_to_run_and_makes_the_same_bytes(
    folder: str, board: tuple[Path, Results]
) -> None:
    transfer.push(board[0] / "home", folder)
    transfer.pull(board[0] / "pulled", folder)
    runs = files(board[0] / "pulled")
    results = boards.make(board[0], boards.METHODS, home="pulled")
    assert json.dumps(results.document) == json.dumps(board[1].document)
    assert files(board[0] / "pulled") == runs
    shutil.rmtree(board[0] / "pulled")


def test_runs_of_a_hidden_split_never_leave(folder: str, board: tuple[Path, Results], tmp_path: Path) -> None:
    shutil.copytree(board[0] / "home", tmp_path / "home")
    for record in [record for _, record in store.find_runs(tmp_path / "home")]:
        store.hide(tmp_path / "home", record["keyed"]["split"])
    report = transfer.push(tmp_path / "home", folder)
    assert (report.moved, report.hidden) == (0, FINISHED)
    assert not list((tmp_path / "remote").rglob("*.json"))


def test_a_bundle_is_not_there_until_its_last_file_is(
    folder: str, board: tuple[Path, Results], tmp_path: Path
) -> None:
    transfer.push(board[0] / "home", folder)
    bundle = sorted((tmp_path / "remote").rglob("bundle.json"))[0]
    bundle.unlink()
    assert transfer.pull(tmp_path / "other", folder).moved == FINISHED - 1
    assert transfer.push(board[0] / "home", folder).moved == 1
    assert transfer.pull(tmp_path / "other", folder).moved == 1


def test_a_file_changed_there_is_refused_and_leaves_nothing(
    folder: str, board: tuple[Path, Results], tmp_path: Path
) -> None:
    transfer.push(board[0] / "home", folder)
    for path in (tmp_path / "remote").rglob("run.json"):
        path.write_text(path.read_text().replace("succeeded", "succeedee"))
    with pytest.raises(InfrastructureError, match=r"is not what its bundle\.json says"):
        transfer.pull(tmp_path / "other", folder)
    assert all(record["state"] != "succeeded" for _, record in store.find_runs(tmp_path / "other"))
    assert not list((tmp_path / "other").rglob("*.partial"))


def test_details_that_go_with_scores_travel_with_them(
    folder: str, board: tuple[Path, Results], tmp_path: Path
) -> None:
    shutil.copytree(board[0] / "home", tmp_path / "home")
    scores = sorted((tmp_path / "home" / "runs").rglob("scores/*.parquet"))[0]
    scores.with_suffix(".details.json").write_text("{}")
    transfer.push(tmp_path / "home", folder)
    transfer.pull(tmp_path / "other", folder)
    assert files(tmp_path / "other") == files(tmp_path / "home")


@pytest.mark.parametrize(
    "files_said", [[], {"run.json": {"sha256": "0" * 64, "bytes": "3"}}, {"run.json": 1}]
)
def test_a_bundle_that_is_none_does_not_keep_others_from_coming(
    files_said: object, folder: str, board: tuple[Path, Results], tmp_path: Path
) -> None:
    transfer.push(board[0] / "home", folder)
    path = sorted((tmp_path / "remote").rglob("bundle.json"))[0]
    document = {**json.loads(path.read_text()), "files": files_said}
    own = path.parent.with_name(transfer.sha256_json(files_said)[:16])
    path.parent.rename(own)
    (own / "bundle.json").write_text(json.dumps(document))
    with pytest.raises(
        transfer.InvalidBundleError, match=f"is not one of ours .*; {FINISHED - 1} runs were pulled"
    ):
        transfer.pull(tmp_path / "other", folder)
    assert len(list(store.find_runs(tmp_path / "other"))) == FINISHED - 1


@pytest.mark.parametrize("name", ["../../evil", "attempt-1/../../evil", "/etc/evil", "attempt-1/run.sh"])
def test_a_bundle_that_names_other_files_than_a_run_s_is_refused(
    name: str, folder: str, board: tuple[Path, Results], tmp_path: Path
) -> None:
    transfer.push(board[0] / "home", folder)
    path = sorted((tmp_path / "remote").rglob("bundle.json"))[0]
    document = json.loads(path.read_text())
    document["files"][name] = document["files"]["run.json"]
    own = path.parent.with_name(transfer.sha256_json(document["files"])[:16])
    path.parent.rename(own)
    (own / "bundle.json").write_text(json.dumps(document))
    with pytest.raises(InfrastructureError, match="no file of a run"):
        transfer.pull(tmp_path / "other", folder)


def test_of_two_bundles_of_one_key_everybody_takes_the_same(
    folder: str, board: tuple[Path, Results], tmp_path: Path
) -> None:
    shutil.copytree(board[0] / "home", tmp_path / "home")
    for path in (tmp_path / "home").glob("runs/*/*/*/*/attempt-1/stdout.log"):
        path.write_text("another run of the same key")
    for home in (board[0] / "home", tmp_path / "home"):
        shutil.rmtree(tmp_path / "remote", ignore_errors=True)
        transfer.push(home, folder)
        shutil.copytree(tmp_path / "remote", tmp_path / "both", dirs_exist_ok=True)
    both = f"file://{tmp_path}/both"
    assert len(list((tmp_path / "both").rglob("bundle.json"))) == 2 * FINISHED
    for other in ("a", "b"):
        assert transfer.pull(tmp_path / other, both).moved == FINISHED
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_a_lost_run_here_is_replaced_by_a_finished_one_from_there(
    folder: str, board: tuple[Path, Results], tmp_path: Path
) -> None:
    transfer.push(board[0] / "home", folder)
    shutil.copytree(board[0] / "home", tmp_path / "home")
    path = sorted((tmp_path / "home" / "runs").glob("*/*/constant/*/run.json"))[0]
    record = {**json.loads(path.read_text()), "state": "failed", "error_class": "LOST", "message": "gone"}
    path.write_text(json.dumps(record))
    assert transfer.pull(tmp_path / "home", folder).moved == 1
    found = json.loads(path.read_text())
    assert (found["state"], found["attempt"]) == ("succeeded", 2)
    assert (path.parent / "attempt-2" / "prediction.h5ad").is_file()


def test_a_protocol_nobody_speaks_is_told_with_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"pip install 'lanner\[remote\]'"):
        transfer.push(tmp_path, "nowhere://bucket")


def test_a_dataset_s_source_may_be_on_any_store(url: str, tmp_path: Path) -> None:
    import hashlib

    data = b"published bytes" * 1000
    fsspec.filesystem(url.partition(":")[0]).makedirs(url.partition("://")[2], exist_ok=True)
    with fsspec.open(f"{url}/data.h5ad", "wb") as stream:
        stream.write(data)
    source = Source(
        name="data.h5ad",
        urls=(f"{url}/missing.h5ad", f"{url}/data.h5ad"),
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        licence="MIT",
    )
    settings = Settings(home=tmp_path / "home")
    (path,) = fetch_sources("toy", [source], tmp_path / "sources", settings).values()
    assert path.read_bytes() == data
