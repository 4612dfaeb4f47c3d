"""``doctor``: what this machine can do for Lanner, and the fix for what it cannot."""

from __future__ import annotations

from dataclasses import asdict

import click

from lanner.cli.output import json_option, print_json, print_table
from lanner.config import Settings
from lanner.errors import InfrastructureError


@click.command("doctor")
@click.option("--quick", is_flag=True, help="Start no container: skip the sandbox's own tests.")
@json_option
@click.pass_obj
def doctor_command(settings: Settings, quick: bool, as_json: bool) -> int:
    """Check this machine, and the sandbox from inside a container; say how to fix what is missing.

    Container engines and what each can promise, users, limits, confinement, disk, memory, GPU and the
    registries. Exits 4 when something Lanner cannot do without is broken; a missing engine is a warning.

    \b
    Examples:
      lanner doctor
      lanner doctor --quick
      lanner doctor --json
    """
    from lanner.doctor import examine

    findings = list(examine(settings, quick=quick))
    if as_json:
        print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        rows = [(finding.level, finding.check, finding.found, finding.fix) for finding in findings]
        print_table(("", "check", "found", "fix"), rows)
    broken = any(finding.level == "error" for finding in findings)
    return InfrastructureError.exit_code if broken else 0
