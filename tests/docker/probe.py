"""Runs inside the container: tries everything on two lists and prints one line of JSON.

Both lists matter: the first must fail, and the second keeps anybody from tightening the sandbox until
methods break.
"""

# The shortest form of each attempt reads best.
# ruff: noqa: PTH101, PTH108, PTH116, PTH123, PTH207, SIM115

import ctypes
import getpass
import glob
import json
import multiprocessing
import os
import shutil
import socket
import tempfile
from pathlib import Path

libc = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    if getattr(libc, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), name)


def fill(folder, megabytes):
    try:
        with open(f"{folder}/fill", "wb") as stream:
            for _ in range(megabytes):
                stream.write(bytes(1 << 20))
    finally:
        os.unlink(f"{folder}/fill")


def load_from_tmp():
    source = next(iter(glob.glob("/usr/lib/**/_ctypes*.so", recursive=True)), None)
    source = source or glob.glob("/usr/local/lib/**/_ctypes*.so", recursive=True)[0]
    ctypes.CDLL(shutil.copy(source, "/tmp/module.so"))


def run_from_tmp():
    os.chmod(shutil.copy("/bin/true", "/tmp/true"), 0o755)
    assert os.spawnv(os.P_WAIT, "/tmp/true", ["true"]) == 0


def share_memory():
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as stream:
        stream.write(bytes(80 << 20))


def gain_capabilities():
    status = Path("/proc/self/status").read_text()
    if all(
        f"{name}:\t0000000000000000" in status for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    ):
        raise PermissionError("no capability in any set")


def new_privileges():
    if "NoNewPrivs:\t1" in Path("/proc/self/status").read_text():
        raise PermissionError("no new privileges")


def be_root():
    if 0 not in (os.getuid(), os.geteuid(), os.getgid(), *os.getgroups()):
        raise PermissionError("not root")


def see_gpus():
    if os.environ.get("NVIDIA_VISIBLE_DEVICES") == "void":
        raise PermissionError("void")


def only_loopback():
    if [name for _, name in socket.if_nameindex()] == ["lo"]:
        raise PermissionError("only lo")


DENIED = {
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
    "see another interface": only_loopback,
    "find the engine's socket": lambda: os.stat("/var/run/docker.sock"),
    "be root": be_root,
    "become root": lambda: os.setuid(0),
    "own a file of root's": lambda: os.chown("/etc/passwd", 10001, 10001),
    "make a device": lambda: os.mknod("/tmp/device", 0o60600, os.makedev(8, 0)),
    "mount": lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
    "unshare a user namespace": lambda: call("unshare", 0x10000000),
    "read the kernel's log": lambda: call("klogctl", 10, None, 0),
    "hold a capability": gain_capabilities,
    "gain privileges": new_privileges,
    "change the hostname": lambda: socket.sethostname("breach"),
    "see a GPU": see_gpus,
    "see a secret of the host": lambda: os.environ["SECRET_TOKEN"],
}


ALLOWED = {
    "read the input": lambda: open("/input/task.json").read(),
    "write to the output": lambda: open("/output/result", "w").write("x"),
    "write to /tmp": lambda: open("/tmp/scratch", "w").write("x"),
    "write to HOME": lambda: Path.home().joinpath(".cache").mkdir(exist_ok=True),
    "make a temporary folder": tempfile.mkdtemp,
    "load a library from /tmp": load_from_tmp,
    "run a program from /tmp": run_from_tmp,
    "lock between processes": multiprocessing.Lock,
    "share 80 MB between processes": share_memory,
    "know its user's name": getpass.getuser,
    "run in its own folder": lambda: open("probe.py").read(),
    "connect to itself": lambda: socket.create_server(("127.0.0.1", 0)).getsockname(),
    "start a child": lambda: os.waitpid(os.spawnv(os.P_NOWAIT, "/bin/true", ["true"]), 0),
}


def attempt(action):
    try:
        action()
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return "ok"


print(
    json.dumps(
        {
            "denied": {k: attempt(v) for k, v in DENIED.items()},
            "allowed": {k: attempt(v) for k, v in ALLOWED.items()},
        }
    )
)
