"""How a run ended decides whose fault it was; the cases were observed on real engines."""

from __future__ import annotations

from pathlib import Path

import pytest
from lanner.errors import ErrorClass
from lanner.runners.outcome import (
    POLICIES,
    SENTENCES,
    Ending,
    Retry,
    classify,
    last_line,
    start_failure,
)
from lanner.store import RETRIED


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        (Ending(exit_code=0), None),
        (Ending(exit_code=0, oom_flag=True), None),  # a child was killed, its parent recovered
        (Ending(exit_code=1, oom_flag=True), ErrorClass.OOM),  # a child was killed, its parent gave up
        (Ending(exit_code=137, oom_flag=True), ErrorClass.OOM),
        (Ending(exit_code=137), ErrorClass.CRASH),  # 137 alone is not out of memory
        (Ending(exit_code=139), ErrorClass.CRASH),
        (Ending(exit_code=134), ErrorClass.CRASH),
        (Ending(exit_code=None), ErrorClass.CRASH),
        (Ending(exit_code=1), ErrorClass.METHOD_ERROR),
        (Ending(exit_code=125), ErrorClass.METHOD_ERROR),  # the SDK reports the engine's 125 as an error
        (Ending(exit_code=99), ErrorClass.NOT_APPLICABLE),
        (Ending(exit_code=127), ErrorClass.START_ERROR),
        (Ending(exit_code=126), ErrorClass.START_ERROR),
        (Ending(exit_code=137, killed_for=ErrorClass.TIMEOUT), ErrorClass.TIMEOUT),
        (Ending(exit_code=137, oom_flag=True, killed_for=ErrorClass.TIMEOUT), ErrorClass.TIMEOUT),
        (Ending(exit_code=0, killed_for=ErrorClass.OUTPUT_TOO_LARGE), ErrorClass.OUTPUT_TOO_LARGE),
        (Ending(exit_code=0, output_too_large=True), ErrorClass.OUTPUT_TOO_LARGE),
        (Ending(exit_code=137, killed_outside=True), ErrorClass.PLATFORM_ERROR),  # `docker kill`
        (Ending(exit_code=137, killed_outside=True, oom_flag=True), ErrorClass.OOM),
        (Ending(exit_code=0, killed_outside=True), None),
        (Ending(exit_code=1, disk_full=True), ErrorClass.DISK_FULL),
        (Ending(exit_code=0, disk_full=True), None),
        (
            Ending(exit_code=0, started=False),
            ErrorClass.PLATFORM_ERROR,
        ),  # never started
        (Ending(exit_code=None, started=False, engine_error="no space left on device"), ErrorClass.DISK_FULL),
    ],
)
def test_the_party_at_fault_is_found(ending: Ending, expected: ErrorClass | None) -> None:
    assert classify(ending)[0] is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('exec: "nonsense": executable file not found in $PATH: unknown', ErrorClass.START_ERROR),
        ("OCI runtime create failed: exec format error", ErrorClass.START_ERROR),
        ('could not select device driver "" with capabilities: [[gpu]]', ErrorClass.PLATFORM_ERROR),
        ("mkdir /var/lib/docker/overlay2: no space left on device", ErrorClass.DISK_FULL),
        ("error setting rlimit type 6: OCI permission denied", ErrorClass.PLATFORM_ERROR),  # podman
        ("container-init binary not found on the host: stat catatonit", ErrorClass.PLATFORM_ERROR),
        ("something nobody has seen", ErrorClass.PLATFORM_ERROR),
    ],
)
def test_an_engine_that_cannot_start_a_container_says_whose_fault_it_is(
    text: str, expected: ErrorClass
) -> None:
    assert start_failure(text) is expected


def test_every_class_has_its_sentence() -> None:
    assert set(SENTENCES) == set(ErrorClass)


def test_the_store_tries_again_what_the_table_says() -> None:
    again = {name for name, policy in POLICIES.items() if policy.retry is Retry.NEXT_BUILD}
    assert again == RETRIED


def test_only_the_platform_s_and_the_user_s_failures_are_tried_again_of_themselves() -> None:
    for name, policy in POLICIES.items():
        if name is not ErrorClass.BUILD_ERROR:  # a build also fails for the network's sake
            assert (policy.retry is Retry.ON_REQUEST) == name.is_method_fault, name


def test_podman_s_init_says_in_words_that_there_is_no_such_program() -> None:
    line = "ERROR (catatonit:6): failed to exec pid1: No such file or directory"
    assert classify(Ending(exit_code=1, stderr_line=line))[0] is ErrorClass.START_ERROR


def test_a_method_error_ends_with_the_last_line_of_stderr_made_printable() -> None:
    _, message = classify(Ending(exit_code=2, stderr_line="ValueError: \x1b[31mno\u202e genes" + "x" * 1000))
    assert message.startswith("the method failed with exit code 2: ValueError: \\x1b[31mno\\u202e genes")
    assert message.isprintable()
    assert len(message) < 400


def test_a_reason_for_not_applying_stands_alone() -> None:
    assert classify(Ending(exit_code=99, stderr_line="needs doses"))[1] == "needs doses"


def test_a_signal_is_named() -> None:
    assert "SIGSEGV" in classify(Ending(exit_code=139))[1]
    assert "possibly for lack of memory" in classify(Ending(exit_code=137))[1]
    assert "exit code 255" in classify(Ending(exit_code=255))[1]


def test_success_mentions_a_child_killed_for_memory() -> None:
    assert "memory" in classify(Ending(exit_code=0, oom_flag=True))[1]


def test_the_last_line_that_is_not_empty_is_found(tmp_path: Path) -> None:
    log = tmp_path / "stderr.log"
    log.write_bytes(b"first\n" + b"x" * 200_000 + b"\nlast \xff one\r\n\n  \n")
    assert last_line(log) == "last \ufffd one"
    assert last_line(tmp_path / "absent") == ""
