"""Runs inside a container: tries everything on two lists and prints one line of JSON.

Both lists matter: the first must fail, and the second keeps anybody from tightening the sandbox until
methods break. Each attempt is a process of its own, so that none helps the next. The standard library only:
`lanner doctor` and tests/docker run this very file.
"""

# The shortest form of each attempt reads best.
# ruff: noqa: D103, PTH101, PTH108, PTH116, PTH123, PTH207, SIM115

from __future__ import annotations

import ctypes
import getpass
import glob
import json
import multiprocessing
import os
import select
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
THREADS = ("OMP", "OPENBLAS", "MKL", "NUMBA")


def call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), name)


def fill(folder: str, megabytes: int) -> None:
    try:
        with open(f"{folder}/fill", "wb") as stream:
            for _ in range(megabytes):
                stream.write(bytes(1 << 20))
    finally:
        os.unlink(f"{folder}/fill")


def load_from_tmp() -> None:
    found = [path for lib in ("/usr/lib", "/usr/local/lib") for path in glob.glob(f"{lib}/**/_ctypes*.so",
             recursive=True)]  # fmt: skip
    ctypes.CDLL(shutil.copy(found[0], "/tmp/module.so"))


def run_from_tmp() -> None:
    os.chmod(shutil.copy("/bin/true", "/tmp/true"), 0o755)
    assert os.spawnv(os.P_WAIT, "/tmp/true", ["true"]) == 0


def share_memory() -> None:
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as stream:
        stream.write(bytes(80 << 20))


def work_in_a_pool() -> None:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(abs, [-1, -2]) == [1, 2]


def start_threads() -> None:
    gate = threading.Event()
    threads = [threading.Thread(target=gate.wait) for _ in range(200)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join()


def know_its_threads() -> None:
    granted = str(max(1, int(float(os.environ.get("LANNER_CPUS", "1")))))
    assert all(os.environ[f"{library}_NUM_THREADS"] == granted for library in THREADS)


def cache() -> None:
    for name in ("XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "MPLCONFIGDIR"):
        folder = Path(os.environ[name])
        folder.mkdir(parents=True, exist_ok=True)
        folder.joinpath("entry").write_text("x")


def gain_capabilities() -> None:
    status = Path("/proc/self/status").read_text()
    if all(f"{name}:\t0000000000000000" in status for name in CAPABILITIES):
        raise PermissionError("no capability in any set")


def new_privileges() -> None:
    if "NoNewPrivs:\t1" in Path("/proc/self/status").read_text():
        raise PermissionError("no new privileges")


def run_unfiltered() -> None:
    if "Seccomp:\t2" in Path("/proc/self/status").read_text():
        raise PermissionError("system calls are filtered")


def be_root() -> None:
    if 0 not in (os.getuid(), os.geteuid(), os.getgid(), *os.getgroups()):
        raise PermissionError(f"uid {os.getuid()}, gid {os.getgid()}")


def see_gpus() -> None:
    if os.environ.get("NVIDIA_VISIBLE_DEVICES") == "void" and not glob.glob("/dev/nvidia[0-9]*"):
        raise PermissionError("none")


def other_interfaces() -> None:
    names = [name for _, name in socket.if_nameindex()]
    if names == ["lo"]:
        raise PermissionError("only lo")


def see_other_processes() -> None:
    if os.getppid() != 1 and len([name for name in os.listdir("/proc") if name.isdigit()]) < 6:  # noqa: PTH208
        raise PermissionError("only its own")


DENIED: Mapping[str, Callable[[], object]] = {
    "write to the root": lambda: open("/breach", "w"),
    "write to /etc": lambda: open("/etc/breach", "w"),
    "write to the input": lambda: open("/input/breach", "w"),
    "change the input": lambda: open("/input/task.json", "a"),
    "write beside the program": lambda: open("/method/breach", "w"),
    "write to the kernel": lambda: open("/proc/sys/kernel/core_pattern", "w"),
    "write to a cgroup": lambda: open("/sys/fs/cgroup/memory/memory.limit_in_bytes", "w"),
    "fill a volume of the image": lambda: fill("/data", 5),
    "fill /tmp": lambda: fill("/tmp", 80),
    "connect by address": lambda: socket.create_connection(("192.0.2.1", 80), timeout=2),
    "reach the bridge": lambda: socket.create_connection(("172.17.0.1", 80), timeout=2),
    "resolve a name": lambda: socket.getaddrinfo("example.org", 80),
    "see another interface": other_interfaces,
    "find the engine's socket": lambda: os.stat("/var/run/docker.sock"),
    "see other processes": see_other_processes,
    "be root": be_root,
    "become root": lambda: os.setuid(0),
    "own a file of root's": lambda: os.chown("/etc/passwd", 10001, 10001),
    "make a device": lambda: os.mknod("/tmp/device", 0o60600, os.makedev(8, 0)),
    "mount": lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
    "unshare a user namespace": lambda: call("unshare", 0x10000000),
    "read the kernel's log": lambda: call("klogctl", 10, None, 0),
    "hold a capability": gain_capabilities,
    "gain privileges": new_privileges,
    "call the kernel unfiltered": run_unfiltered,
    "change the hostname": lambda: socket.sethostname("breach"),
    "see a GPU": see_gpus,
    "see a secret of the host": lambda: os.environ["SECRET_TOKEN"],
}


ALLOWED: Mapping[str, Callable[[], object]] = {
    "read the input": lambda: open("/input/task.json").read(),
    "write to the output": lambda: open("/output/result", "w").write("x"),
    "write to /tmp": lambda: open("/tmp/scratch", "w").write("x"),
    "write to HOME": lambda: Path.home().joinpath(".cache").mkdir(exist_ok=True),
    "write to its caches": cache,
    "make a temporary folder": tempfile.mkdtemp,
    "load a library from /tmp": load_from_tmp,
    "run a program from /tmp": run_from_tmp,
    "lock between processes": multiprocessing.Lock,
    "work in a pool of processes": work_in_a_pool,
    "share 80 MB between processes": share_memory,
    "start 200 threads": start_threads,
    "know how many threads to use": know_its_threads,
    "know its user's name": getpass.getuser,
    "run in its own folder": lambda: open("probe.py").read(),
    "connect to itself": lambda: socket.create_server(("127.0.0.1", 0)).getsockname(),
    "start a child": lambda: os.waitpid(os.spawnv(os.P_NOWAIT, "/bin/true", ["true"]), 0),
}


def attempt(action: Callable[[], object]) -> str:
    """ "ok", or why it failed; tried in a forked process."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            action()
            answer = "ok"
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        os.write(writer, answer.encode("utf-8", "replace")[:300])
        os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)  # before reading: what it started may hold the pipe open
    answer = os.read(reader, 300).decode() if select.select([reader], [], [], 0)[0] else ""
    os.close(reader)
    return answer or "died"


def main() -> None:
    """Try both lists, print what came of it."""
    lists = {"denied": DENIED, "allowed": ALLOWED}
    print(
        json.dumps(
            {name: {what: attempt(how) for what, how in tries.items()} for name, tries in lists.items()}
        )
    )


if __name__ == "__main__":
    main()
