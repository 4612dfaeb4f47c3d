"""The command line as people and programs meet it: help, JSON, exit codes, one-line errors."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import boards
import click
import h5py
import pytest
from click.testing import CliRunner, Result
from lanner.cli import COMMANDS, lanner
from lanner.config import Settings, bundled_root
from lanner.errors import LannerError

TWO_FOLDS = '{"id": "unseen-combination", "parameters": {"folds": 2}}'
CODES = {0, 1, 2, 3, 4, 130}


def commands(group: click.Group, *path: str) -> list[tuple[tuple[str, ...], click.Command]]:
    """Every command below ``group`` with its path, groups included."""
    context = click.Context(group)
    found = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found.append(((*path, name), command))
        if isinstance(command, click.Group):
            found += commands(command, *path, name)
    return found


EVERY = commands(lanner)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The board of ``boards.built``: runs of every end, and their registry."""
    return boards.built(tmp_path_factory.getbasetemp() / "board")[0]


class Shell:
    """The command line, called in this process on one LANNER_HOME from one folder."""

    def __init__(self, home: Path, registry: Path, cwd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self.registry, self.cwd = home, registry, cwd
        monkeypatch.setenv("LANNER_HOME", str(home))
        monkeypatch.delenv("LANNER_MIRROR", raising=False)
        monkeypatch.chdir(cwd)

    def __call__(self, *arguments: str | Path, code: int = 0) -> Result:
        result = CliRunner().invoke(
            lanner,
            ["--registry", str(self.registry), *map(str, arguments)],
            standalone_mode=False,
            catch_exceptions=False,
        )
        returned = result.return_value
        assert (returned if isinstance(returned, int) else 0) == code, result.output
        return result

    def json(self, *arguments: str | Path, code: int = 0) -> Any:
        return json.loads(self(*arguments, "--json", code=code).stdout)

    def refused(self, *arguments: str | Path) -> tuple[int, str]:
        """Exit code and text of a command that ends with an error."""
        with pytest.raises((LannerError, click.ClickException)) as caught:
            self(*arguments)
        text = caught.value.format_message() if isinstance(caught.value, click.ClickException) else None
        return caught.value.exit_code, text or str(caught.value)


@pytest.fixture
def shell(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """On a copy of the built board's LANNER_HOME."""
    for name in ("home", "registry"):
        shutil.copytree(template / name, tmp_path / name, copy_function=shutil.copy2)
    (tmp_path / "cwd").mkdir()
    return Shell(tmp_path / "home", tmp_path / "registry", tmp_path / "cwd", monkeypatch)


@pytest.fixture
def staged(shell: Shell) -> Path:
    shell("stage", "tiny", "--split", "unseen-combination", "--out", "staged")
    return shell.cwd / "staged"


@pytest.mark.parametrize(("path", "command"), EVERY, ids=[" ".join(path) for path, _ in EVERY])
def test_every_command_has_help_with_an_example_of_itself(
    path: tuple[str, ...], command: click.Command
) -> None:
    result = CliRunner().invoke(lanner, [*path, "--help"])
    assert result.exit_code == 0
    assert "Example" in result.stdout
    own = "lanner " + " ".join(path)
    assert own in result.stdout or path[0] == "dataset", f"no example of {own}"


@pytest.mark.parametrize(("path", "command"), EVERY, ids=[" ".join(path) for path, _ in EVERY])
def test_every_command_with_a_result_has_json(path: tuple[str, ...], command: click.Command) -> None:
    if not isinstance(command, click.Group) and path != ("exec",):
        options = {option for parameter in command.params for option in parameter.opts}
        assert "--json" in options


def test_every_command_named_is_there_and_documented() -> None:
    text = CliRunner().invoke(lanner, ["--help"]).stdout
    assert all(f"\n  {name} " in text for name in COMMANDS)
    assert "Exit codes: 0 ok, 1 a method failed" in " ".join(text.split())


def test_the_version_is_printed() -> None:
    assert CliRunner().invoke(lanner, ["--version"]).stdout.startswith("lanner, version ")


def test_a_board_with_a_failed_method_exits_1_and_prints_every_row(shell: Shell) -> None:
    board = boards.board(shell.cwd, boards.METHODS)
    arguments = ("leaderboard", "build", board, "--runner", "process", "--trust-process")
    document = shell.json(*arguments, code=1)
    assert [row["method"] for row in document["rows"]] == sorted(boards.METHODS)
    assert (shell.cwd / "site" / "board" / "index.html").is_file()
    result = shell(*arguments, code=1)
    assert "tiny, unseen-combination" in result.stdout and "Not scored" in result.stdout
    assert "0 runs to do, 4 cached" in result.stderr and "page: " in result.stderr


def test_a_dry_run_runs_nothing_and_says_what_is_cached_and_why_not(shell: Shell) -> None:
    boards.add_method(shell.registry, "newcomer")
    board = boards.board(shell.cwd, [*boards.METHODS, "newcomer"])
    before = sorted((shell.home / "runs").rglob("*"))
    arguments = ("leaderboard", "build", board, "--runner", "process", "--trust-process", "--dry-run")
    document = shell.json(*arguments)
    assert document["to_do"] == 1 and document["estimate"]["disk_bytes"] > 0
    reasons = {row["method"]: (row["cached"], row["reason"]) for row in document["runs"]}
    assert reasons["constant"] == (True, "") and reasons["newcomer"] == (False, "never run")
    assert reasons["for-another-task"][0] is False and "does not declare" in reasons["for-another-task"][1]
    assert "1 of 6 runs" in shell(*arguments).stdout
    assert sorted((shell.home / "runs").rglob("*")) == before


def test_run_by_options_is_cached_the_second_time(shell: Shell) -> None:
    arguments = ("run", "-m", "train-mean", "-d", "tiny", "-s", "unseen-combination", "--runner", "process")
    (row,) = shell.json(*arguments)["rows"]
    assert (row["status"], row["method"], row["seed"]) == ("succeeded", "train-mean", 0)
    result = shell(*arguments)
    assert "0 runs to do, 1 cached" in result.stderr and "train-mean" in result.stdout


def test_somebody_elses_method_is_skipped_without_trust(shell: Shell) -> None:
    arguments = ("run", "-m", "constant", "-d", "tiny", "-s", "unseen-combination", "--runner", "process")
    (row,) = shell.json(*arguments)["rows"]
    assert row["status"] == "skipped" and row["reason"].startswith("needs a container")
    (row,) = shell.json(*arguments, "--trust-process")["rows"]
    assert row["status"] == "succeeded" and row["trusted_process"]


def test_status_lists_runs_and_only_the_failed_ones_when_asked(shell: Shell) -> None:
    runs = {run["method"]: run for run in shell.json("status")["runs"]}
    assert {name: run["state"] for name, run in runs.items()} == {
        "constant": "succeeded",
        "half": "succeeded",
        "crashes": "failed",
        "inapplicable": "skipped",
    }
    failed = {run["method"] for run in shell.json("status", "--failed")["runs"]}
    assert failed == {"crashes", "inapplicable"}
    assert "NOT_APPLICABLE: needs doses" in shell("status").stdout


def test_status_shows_what_was_interrupted_at_any_moment(shell: Shell) -> None:
    (run,) = (shell.home / "runs").glob("*/*/constant/*")
    for number, leave in ((2, ()), (3, ("spec.json",)), (4, ("spec.json", "status.json"))):
        attempt = run / f"attempt-{number}"
        attempt.mkdir()
        if "spec.json" in leave:
            shutil.copy(run / "attempt-1" / "spec.json", attempt)
        if "status.json" in leave:
            (attempt / "status.json").touch()  # claimed, and killed in that instant, a while ago
            os.utime(attempt / "status.json", (0, 0))
        states = {run["method"]: run["state"] for run in shell.json("status")["runs"]}
        assert states["constant"] == "lost"


def test_status_tells_what_waits_for_its_engine_from_what_is_lost(shell: Shell) -> None:
    (run,) = (shell.home / "runs").glob("*/*/constant/*")
    attempt = run / "attempt-5"
    attempt.mkdir()
    shutil.copy(run / "attempt-1" / "spec.json", attempt)

    def shown(**placed: Any) -> tuple[str, str]:
        (attempt / "placed.json").write_text(json.dumps(placed))
        row = next(row for row in shell.json("status")["runs"] if row["method"] == "constant")
        assert row["waits"] is (row["state"] == "queued")
        return row["state"], row["reason"]

    array = {"engine": "slurm-array", "ticket": "27_0", "outlives_harness": True}
    words = "placed by the engine slurm-array as 27_0, not begun yet"
    assert shown(**array) == ("queued", words)
    dask = {"engine": "dask", "ticket": "a/attempt-5", "outlives_harness": False}
    assert shown(**dask)[0] == "lost"
    with (run / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the harness that has placed it still lives
        assert shown(**dask) == ("queued", "placed by the engine dask as a/attempt-5, not begun yet")
    assert shell.json("cancel", "--all") == {"cancelling": []}
    assert shown(**array)[0] == "queued"
    assert len(shell.json("cancel", "--all")["cancelling"]) == 1 and (attempt / "cancel").exists()
    shutil.rmtree(attempt)


def test_detaching_from_an_engine_that_ends_with_the_command_is_refused(shell: Shell) -> None:
    code, message = shell.refused("leaderboard", "build", "quickstart", "--runner", "process", "--detach")
    assert code == 2
    assert "ends with this command; leave out --detach, or use kubernetes or slurm-array" in message


def test_pulling_from_where_nothing_is_stored_says_so(shell: Shell, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/nowhere"
    result = shell("store", "pull", url, "--json")
    assert json.loads(result.stdout)["pulled"] == 0
    assert "no finished run is stored at" in result.stderr and "check the address" in result.stderr


def test_status_of_an_empty_home_is_an_empty_list(shell: Shell, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("LANNER_HOME", str(tmp_path / "empty"))
    assert shell.json("status") == {"runs": []}


def test_logs_show_what_a_method_printed_made_printable(shell: Shell) -> None:
    run = next(run for run in shell.json("status")["runs"] if run["method"] == "crashes")
    assert (
        shell("logs", run["key"], "--stream", "stderr").stdout == "it <script>broke</script> [here](there)\n"
    )
    document = shell.json("logs", run["key"])
    assert document["attempt"] == 1 and document["stdout"] == ""
    (log,) = (shell.home / "runs").glob("*/*/crashes/*/attempt-1/stderr.log")
    log.write_bytes(b"\x1b[2Jgone \xff\n")
    assert shell("logs", run["key"], "--stream", "stderr").stdout == "\\x1b[2Jgone \ufffd\n"


def by_hand(staged: Path, output: Path, method: str = "train-mean") -> Path:
    """Run a bundled program as a person would, outside any container."""
    output.mkdir()
    program = bundled_root() / "method_containers" / method / "predict.py"
    environment = {**os.environ, "LANNER_INPUT": str(staged), "LANNER_OUTPUT": str(output)}
    subprocess.run([sys.executable, str(program)], env=environment, check=True)
    return output / "prediction.h5ad"


def test_stage_grants_the_resources_it_is_asked_for(shell: Shell) -> None:
    shell("stage", "tiny", "--split", "unseen-combination", "--resource", "random", "--out", "granted")
    lines = (shell.cwd / "granted/resources/random.features.csv").read_text().splitlines()
    assert lines[0].startswith("gene,feature0,")
    assert len(lines) == 1 + boards.SIZE["n_genes"]


def test_a_program_run_by_hand_is_accepted_and_scores_as_its_run_does(shell: Shell, staged: Path) -> None:
    prediction = by_hand(staged, shell.cwd / "out")
    accepted = shell.json("validate", prediction, "--input", staged)
    assert accepted == {
        "accepted": True,
        "kind": "profiles",
        "requests": len(accepted["unanswered"]) + accepted["requests"],
        "unanswered": [],
        "n_cells": 1,
        "genes": 60,
    }
    assert "accepted    yes" in shell("validate", prediction, "--input", staged).stdout
    scored = shell.json(
        "score", prediction, "--input", staged, "--metric", "mse", "--metric", "pearson_delta"
    )
    arguments = ("run", "-m", "train-mean", "-d", "tiny", "-s", "unseen-combination", "--runner", "process")
    (row,) = shell.json(*arguments)["rows"]
    ours = {f"{score['metric']}{score['variant']}": score["value"] for score in scored["scores"]}
    assert len(ours) > 2
    for name, value in ours.items():
        assert row["scores"][name]["value"] == value
    again = shell.json("score", row["key"][:10], "--metric", "mse", "--per-condition")
    assert {line["metric"] for line in again["conditions"]} == {"mse"}
    assert "mse" in shell("score", row["key"][:10], "--metric", "mse").stdout
    found = shell.json("metric", "compare", "mse", "--run", row["key"][:10])
    by_name = {variant["metric"]: variant["value"] for variant in found["variants"]}
    assert by_name["mse"] == pytest.approx(ours["mse@all-cells"], rel=0.05)
    assert sum(value is not None for value in by_name.values()) > 2
    code, text = shell.refused("metric", "compare", "mse", "--run", row["key"][:10], "--control", "control")
    assert code == 2 and "--control goes with --truth" in text


@pytest.mark.parametrize(
    ("damage", "code", "says"),
    [
        ("nan", "not-finite", "finite"),
        ("genes", "names", "var"),
        ("text", "not-hdf5", "signature"),
    ],
)
def test_a_refused_prediction_exits_3_with_the_reason(
    shell: Shell, staged: Path, damage: str, code: str, says: str
) -> None:
    prediction = by_hand(staged, shell.cwd / "out")
    if damage == "text":
        prediction.write_text("hello")
    else:
        with h5py.File(prediction, "a") as file:
            if damage == "nan":
                file["X"][0, 0] = float("nan")
            else:
                names = file["var/_index"][:]
                file["var/_index"][:] = names[::-1]
    document = shell.json("validate", prediction, "--input", staged, code=3)
    assert document["accepted"] is False and document["reason"]
    for command in ("validate", "score"):
        exit_code, text = shell.refused(command, prediction, "--input", staged)
        assert exit_code == 3
        assert says in text or code in text, text


def test_without_the_sealed_truth_a_prediction_is_scored_all_the_same_or_the_reason_is_said(
    shell: Shell, staged: Path
) -> None:
    prediction = by_hand(staged, shell.cwd / "out")
    shutil.rmtree(shell.home / "truth")
    assert shell.json("score", prediction, "--input", staged, "--metric", "mse")["scores"]
    shutil.rmtree(shell.home / "splits")
    code, text = shell.refused("score", prediction, "--input", staged)
    assert code == 2 and "was not staged in" in text and "set LANNER_HOME" in text


def test_an_input_folder_somebody_edited_is_refused(shell: Shell, staged: Path) -> None:
    prediction = by_hand(staged, shell.cwd / "out")
    requests = staged / "requests.csv"
    requests.chmod(0o644)
    lines = requests.read_text().splitlines(keepends=True)
    requests.write_text("".join(lines[:-1]))
    with h5py.File(prediction) as file:
        fewer = {
            "X": file["X"][:-1],
            "obs/_index": file["obs/_index"][:-1],
            "var/_index": file["var/_index"][:],
        }
    with h5py.File(shell.cwd / "fewer.h5ad", "w") as file:
        for name, values in fewer.items():
            file[name] = values
    code, text = shell.refused("score", "fewer.h5ad", "--input", staged)
    assert code == 2 and "stage it again" in text


@pytest.mark.parametrize(
    ("file", "data"),
    [
        ("task.json", b"{}"),
        ("task.json", b"\xff"),
        ("task.json", None),
        ("requests.csv", b"\xff\xfe"),
        ("requests.csv", b"a,b\n1,2\n"),
        ("requests.csv", None),
        ("train.h5ad", b"text"),
        ("train.h5ad", None),
    ],
)
def test_a_folder_that_was_not_staged_is_a_usage_error(
    shell: Shell, staged: Path, file: str, data: bytes | None
) -> None:
    (shell.cwd / "p.h5ad").write_bytes(b"x")
    (staged / file).unlink()
    if data is not None:
        (staged / file).write_bytes(data)
    code, text = shell.refused("validate", "p.h5ad", "--input", staged)
    assert code == 2 and "staged" in text


def test_stage_says_what_it_wrote_and_never_writes_over_anything(shell: Shell) -> None:
    result = shell.json("stage", "tiny", "--split", "unseen-combination", "--seed", "7", "--out", "in")
    assert result["genes"] == 60 and result["input"] == "in"
    task = json.loads((shell.cwd / "in" / "task.json").read_text())
    assert task["seed"] == 7 and task["split"]["sha256"] == result["split_sha256"]
    code, text = shell.refused("stage", "tiny", "--split", "unseen-combination", "--out", "in")
    assert code in (2, 4) and "already exists; choose another" in text


def test_stage_for_a_method_uses_its_parameters_and_limits(shell: Shell) -> None:
    arguments = ("stage", "tiny", "-s", "unseen-combination", "-m", "half")
    shell(*arguments, "--out", "default")
    shell(*arguments, "-p", "alpha=2.5", "--out", "given")
    parameters = [
        json.loads((shell.cwd / name / "task.json").read_text())["parameters"]
        for name in ("default", "given")
    ]
    assert parameters == [{"alpha": 1.0}, {"alpha": 2.5}]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("stage", "tinny", "-s", "unseen-combination", "--out", "x"), "did you mean 'tiny'?"),
        (("stage", "tiny", "-s", "unseen-combinaton", "--out", "x"), "did you mean 'unseen-combination'?"),
        (("stage", "tiny", "-s", "{not json", "--out", "x"), "not JSON"),
        (("stage", "tiny", "-s", "unseen-combination", "-m", "hal", "--out", "x"), "did you mean 'half'?"),
        (
            ("stage", "tiny", "-s", "unseen-combination", "-p", "a=1", "--out", "x"),
            "--parameter needs --method",
        ),
        (("stage", "tiny", "-s", TWO_FOLDS, "--out", "x"), "is 2 splits; name one"),
        (("run", "-m", "hal", "-d", "tiny"), "did you mean 'half'?"),
        (("run", "-m", "half", "-d", "tinny", "--runner", "process"), "did you mean 'tiny'?"),
        (("run", "-m", "half"), "--method and --dataset"),
        (("run",), "--method and --dataset"),
        (("run", "quickstart", "-m", "half"), "not both"),
        (("run", "quickstart", "--timeout", "5"), "not both"),
        (("run", "-m", "half", "-m", "constant", "-d", "tiny", "-p", "a=1"), "single --method"),
        (("run", "-m", "half", "-d", "tiny", "-p", "alpha"), "must be written name=value"),
        (("run", "-m", "half", "-d", "tiny", "--seed", "-1"), "is not in the range"),
        (("run", "-m", "for-another-task", "-d", "tiny"), "give --task another-task"),
        (("run", "-m", "half", "-d", "tiny", "--compare", "--engine", "dask"), "--engine dask first"),
        (("leaderboard", "build", "nothing"), "quickstart, real, real-full"),
        (("leaderboard", "bild", "x"), "No such command"),
        (("logs", "zzz"), "no run starts with 'zzz'"),
        (("logs", ""), "give more characters"),
        (("score", "zzz"), "no run starts with 'zzz'"),
        (("score", "some.h5ad"), "needs --input"),
        (("score", "zzz", "--metric", "msee"), "did you mean 'mse'?"),
        (("exec", "nothing.json"), "does not exist"),
        (("nothing",), "No such command"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_mistake_is_a_usage_error_that_says_what_to_do(
    shell: Shell, arguments: tuple[str, ...], says: str
) -> None:
    code, text = shell.refused(*arguments)
    assert code == 2
    assert says in text and "\n" not in text
    assert not (shell.cwd / "x").exists()


def test_a_run_that_failed_cannot_be_scored_and_says_why(shell: Shell) -> None:
    run = next(run for run in shell.json("status")["runs"] if run["method"] == "crashes")
    code, text = shell.refused("score", run["key"])
    assert code == 2 and "METHOD_ERROR" in text and "no prediction to score" in text


def test_exec_refuses_what_is_no_spec(shell: Shell) -> None:
    for text in ("{}", "[]", '{"format": "lanner-spec/2"}'):
        (shell.cwd / "spec.json").write_text(text)
        code, message = shell.refused("exec", "spec.json")
        assert code == 2 and "is not a run's spec.json" in message


def test_doctor_finds_what_is_there(shell: Shell) -> None:
    findings = {finding["check"]: finding for finding in shell.json("doctor", "--quick")["findings"]}
    assert set(findings) >= {"versions", "LANNER_HOME", "disk", "memory", "docker", "gpu", "registries"}
    assert all(finding["level"] in ("ok", "warning") for finding in findings.values())
    assert all(finding["fix"] for finding in findings.values() if finding["level"] != "ok")
    assert "datasets" in shell("doctor", "--quick").stdout


def test_doctor_exits_4_where_nothing_can_be_written(shell: Shell, monkeypatch: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LANNER_HOME", str(tmp_path / "file" / "home"))
    findings = {finding["check"]: finding for finding in shell.json("doctor", "--quick", code=4)["findings"]}
    assert findings["LANNER_HOME"]["level"] == "error"


# Through the program itself: streams and exit codes.


def program(template: Path, cwd: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return boards.lanner(*arguments, home=template / "home", registry=template / "registry", cwd=cwd)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("stage", "tinny", "-s", "x", "--out", "y"), 2),
        (("logs", "zzz"), 2),
        (("score", "zzz", "--metric", "msee"), 2),
        (("leaderboard", "build", "nothing"), 2),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_an_error_is_one_line_on_stderr_and_nothing_on_stdout(
    template: Path, tmp_path: Path, arguments: tuple[str, ...], code: int
) -> None:
    result = program(template, tmp_path, *arguments)
    assert result.returncode == code
    assert result.stdout == ""
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1


def test_without_docker_a_board_that_asks_for_it_exits_4(template: Path, tmp_path: Path) -> None:
    board = boards.board(tmp_path, ["constant"])
    result = boards.lanner(
        *("leaderboard", "build", board, "--runner", "docker"),
        home=template / "home",
        registry=template / "registry",
        cwd=tmp_path,
        DOCKER_HOST=f"unix://{tmp_path}/no.sock",
    )
    assert result.returncode == 4
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1


def test_without_docker_auto_says_in_one_line_that_methods_run_unsealed(
    template: Path, tmp_path: Path
) -> None:
    board = boards.board(tmp_path, ["inapplicable"])
    result = boards.lanner(
        *("leaderboard", "build", board, "--trust-process", "--dry-run"),
        home=template / "home",
        registry=template / "registry",
        cwd=tmp_path,
        DOCKER_HOST=f"unix://{tmp_path}/no.sock",
    )
    assert result.returncode == 0
    assert result.stderr == (
        "No Docker Engine answers: methods run as plain processes, unsealed, and only Lanner's own ones.\n"
    )


def test_a_home_that_is_a_file_exits_4_with_one_line(template: Path, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    result = boards.lanner(
        *("stage", "tiny", "-s", "unseen-combination", "--out", "x"),
        home=tmp_path / "home",
        registry=template / "registry",
        cwd=tmp_path,
    )
    assert result.returncode == 4
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1


def test_a_closed_pipe_ends_quietly(template: Path, tmp_path: Path) -> None:
    command = boards.command("status", "--json", registry=template / "registry")
    environment = {**os.environ, "LANNER_HOME": str(template / "home")}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() in CODES
    process.stderr.close()


def test_settings_are_made_of_the_environment(shell: Shell) -> None:
    assert Settings.from_environment(shell.registry).home == shell.home.resolve()
