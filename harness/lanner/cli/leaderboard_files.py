"""``leaderboard serve | export | diff``: what is done with a leaderboard once it is built."""

from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click

from lanner.cli.output import json_option, print_json, print_table, talk
from lanner.config import Settings
from lanner.errors import ConfigurationError, InfrastructureError

FORMATS = ("md", "csv", "json", "latex")


@click.command("serve")
@click.argument("folder", required=False, type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any free one."
)
@json_option
def serve_command(folder: Path | None, port: int, as_json: bool) -> None:
    """Show built pages at http://127.0.0.1:PORT, on this machine only, until Ctrl-C.

    FOLDER is a built site, or a folder of them [site]. Pages also open from disk, without this.

    \b
    Examples:
      lanner leaderboard serve
      lanner leaderboard serve site/quickstart --port 8080
    """
    chosen = folder or Path("site")
    if not chosen.is_dir():
        raise ConfigurationError(f"no folder {chosen}; `lanner leaderboard build` makes it")
    pages = sorted(chosen.glob("index.html")) or sorted(chosen.glob("*/index.html"))
    if not pages:
        raise ConfigurationError(f"no pages in {chosen}; `lanner leaderboard build` makes them")
    handler = partial(SimpleHTTPRequestHandler, directory=str(chosen))
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        raise InfrastructureError(
            f"port {port} cannot be opened ({error.strerror}); choose another with --port"
        ) from None
    with server:
        urls = []
        for page in pages:
            at = page.parent.relative_to(chosen).as_posix()
            path = "" if at == "." else f"{at}/"
            urls.append(f"http://127.0.0.1:{server.server_address[1]}/{path}")
        if as_json:
            print_json({"urls": urls})
        else:
            talk.print("\n".join(urls), markup=False)
        server.serve_forever()


@click.command("export")
@click.argument("leaderboard")
@click.option("--format", "form", type=click.Choice(FORMATS), default="md", show_default=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write there instead of stdout.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.pass_obj
def export_command(settings: Settings, leaderboard: str, form: str, out: Path | None, as_json: bool) -> None:
    """Print a built leaderboard as Markdown, CSV (a line per method and metric), JSON or LaTeX.

    LEADERBOARD is the name of one built in this LANNER_HOME, a leaderboard.json, or the folder of one.

    \b
    Examples:
      lanner leaderboard export quickstart
      lanner leaderboard export site/real --format latex --out table.tex
    """
    from lanner.leaderboard.exporting import find_results, latex, results_table
    from lanner.leaderboard.table import markdown
    from lanner.store import write_bytes

    path, document = find_results(leaderboard, settings.home)
    form = "json" if as_json else form
    if form == "md":
        text = markdown(document)
    elif form == "latex":
        text = latex(document)
    elif form == "csv":
        text = results_table(document).to_csv(index=False)
    else:
        text = path.read_text(encoding="utf-8")
    if out is None:
        click.echo(text, nl=False)
    else:
        write_bytes(out, text.encode())


@click.command("diff")
@click.argument("before")
@click.argument("after")
@json_option
@click.pass_obj
def diff_command(settings: Settings, before: str, after: str, as_json: bool) -> None:
    """Say what changed from one build to another: rows that came, went, or have other numbers.

    BEFORE and AFTER are names, leaderboard.json files or folders, as for export.

    \b
    Examples:
      lanner leaderboard diff published/leaderboard.json site/real
      lanner leaderboard diff site/real real --json
    """
    from lanner.leaderboard.differing import COLUMNS, differences
    from lanner.leaderboard.exporting import find_results

    documents = [find_results(name, settings.home)[1] for name in (before, after)]
    found = list(differences(*documents))
    if as_json:
        print_json({"differences": found, "equal": documents[0] == documents[1]})
    elif found:
        print_table(COLUMNS, [[item[name] for name in COLUMNS] for item in found])
    else:
        alike = "the documents are equal" if documents[0] == documents[1] else "comparisons or titles differ"
        click.echo(f"no row differs; {alike}")
