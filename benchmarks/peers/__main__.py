"""Let the peers make the golden numbers of the compatibility metrics, or check what is committed.

    python -m benchmarks.peers --check [--environments DIR] [PEER ...]
    python -m benchmarks.peers --write [--environments DIR] [PEER ...]

``--check`` runs each peer itself on the small data and compares its numbers with the committed ones and with
Lanner's. Environments are made under benchmarks/out/environments, from pinned requirements; with
``--environments DIR`` those of DIR/<peer> are used as they are.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import figures
from benchmarks.peers import agreement, answers, environments, network_agreement
from benchmarks.peers.agreement import Agreement
from benchmarks.peers.environments import NETWORK_PEERS, PEERS

KNOWN = (*PEERS, *NETWORK_PEERS)


def committed(peer: str) -> Path:
    """Where a peer's answers are kept."""
    folder = network_agreement.FOLDER if peer in NETWORK_PEERS else agreement.FOLDER
    return folder / f"{peer}.json"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument(
        "--check", action="store_true", help="compare with the committed numbers and Lanner's"
    )
    action.add_argument(
        "--write", action="store_true", help="commit the peers' numbers to tests/golden/peers"
    )
    parser.add_argument("--environments", type=Path, default=environments.DEFAULT, metavar="DIR")
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"of {', '.join(KNOWN)} [all]")
    arguments = parser.parse_args()
    unknown = set(arguments.peers) - set(KNOWN)
    if unknown:
        parser.error(f"no peer named {', '.join(sorted(unknown))}; known: {', '.join(KNOWN)}")
    peers = arguments.peers or list(KNOWN)
    if arguments.write:
        for peer in peers:
            committed(peer).parent.mkdir(parents=True, exist_ok=True)
            environments.run(peer, arguments.environments, str(committed(peer)))
            print(f"written: {committed(peer)}")
        return
    rows = [check(peer, arguments.environments) for peer in peers]
    figures.show(
        "peers run live on the small data: values that moved since committed, and Lanner's worst difference",
        ("peer", "version", "metrics", "values", "moved", "relative", "of", "failures"),
        [row["shown"] for row in rows],
    )
    for row in rows:
        for failure in row["failures"]:
            print(failure)
    if any(row["failures"] for row in rows):
        raise SystemExit("numbers differ: see above")
    print("all agree")


def check(peer: str, folder: Path) -> dict[str, Any]:
    """Run one peer; how far its numbers are from the committed ones and from Lanner's."""
    with tempfile.TemporaryDirectory(prefix="lanner-peers-") as temporary:
        out = Path(temporary) / "answers.json"
        environments.run(peer, folder, str(out))
        live = answers.read(out)
    known = answers.read(committed(peer))
    moved = [
        f"{peer} {name}: {label} was {known['values'][name][label]!r}, is {value!r}"
        for name, of in live["values"].items()
        for label, value in of.items()
        if not _same(value, known["values"].get(name, {}).get(label, math.inf))
    ]
    found = compared(peer, live["values"])
    worst = max(found, key=lambda each: each.relative)
    failures = moved + [f"{peer}: {each}" for each in found if not each.agrees]
    number = sum(len(of) for of in live["values"].values())
    shown = [
        peer,
        next(version for name, version in live["versions"].items() if name != "python"),  # itself first
        str(len(live["values"])),
        str(number),
        str(len(moved)),
        f"{worst.relative:.0e}",
        worst.id,
        str(len(failures)),
    ]
    return {"shown": shown, "failures": failures}


def compared(peer: str, values: Mapping[str, Mapping[str, float]]) -> list[Agreement]:
    """Lanner's metrics of a peer beside that peer's values by metric."""
    if peer in NETWORK_PEERS:
        truth = network_agreement.small_truth()
        return [network_agreement.compare(truth, f"{peer}/{name}", of) for name, of in values.items()]
    pair = agreement.small_pair()
    return [agreement.compare(pair, agreement.metric_id(peer, name), of) for name, of in values.items()]


def _same(value: float, other: float) -> bool:
    return (math.isnan(value) and math.isnan(other)) or math.isclose(value, other, rel_tol=1e-6, abs_tol=1e-8)


if __name__ == "__main__":
    main()
