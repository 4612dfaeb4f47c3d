"""What the pages tell people to type can be typed: every command and option they name is there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from lanner.cli import lanner
from markdown_it import MarkdownIt

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        *(REPOSITORY / "docs").rglob("*.md"),
        *REPOSITORY.glob("*.md"),
        *REPOSITORY.glob("method_*/*/README.md"),
        *REPOSITORY.glob(".github/*/*.yml"),
    ]
)
PYTHON = ("python", "yaml", "{code-block} python", "{code-block} yaml")
OPTIONAL = re.compile(r"\[[^\]]*\]|\.\.\.$")


def lines(text: str, *, markdown: bool) -> Iterator[str]:
    """Lines that somebody might type: of code blocks, and whole spans of code in a sentence."""
    if not markdown:
        yield from re.findall(r"`(lanner [^`]+)`", text)
        yield from text.splitlines()
        return
    for token in MarkdownIt().parse(text):
        if token.type in ("fence", "code_block") and token.info.strip() not in PYTHON:
            yield from re.sub(r"\\\n", " ", token.content).splitlines()
        for child in token.children or ():
            if child.type == "code_inline":
                yield child.content


def commands(line: str) -> Iterator[list[str]]:
    """The arguments of each call of lanner in a line."""
    lexer = shlex.shlex(OPTIONAL.sub("", line), posix=True, punctuation_chars="|&;<>()")
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # half a quotation: no command
        return
    while words:
        end = next((i for i, word in enumerate(words) if set(word) <= set("|&;<>()")), len(words))
        piece, words = words[:end], words[end + 1 :]
        piece = list(piece)
        while piece and re.fullmatch(r"[A-Z_]+=.*", piece[0]):
            piece.pop(0)
        if piece and (piece[0] == "lanner" or piece[0].endswith("/bin/lanner")):
            yield piece[1:]


def wrong(arguments: list[str]) -> str | None:
    """What click would say of the arguments, values and missing ones apart."""
    command: click.Command = lanner
    context = click.Context(lanner, info_name="lanner")
    while True:
        try:
            options, rest, _ = command.make_parser(context).parse_args(list(arguments))
        except click.BadOptionUsage:  # a sentence names an option without its value
            return None
        except click.UsageError as error:
            return error.format_message()
        for parameter in command.params:
            given = options.get(str(parameter.name))
            if not isinstance(parameter.type, click.Choice) or not isinstance(given, str):
                continue
            if given.islower() and given not in parameter.type.choices:  # NAMES in capitals stand for any
                return f"{given} is no value of {parameter.opts[0]}"
        if not isinstance(command, click.Group) or not rest:
            return None
        found = command.get_command(context, rest[0])
        if found is None:
            return f"no command {rest[0]!r}"
        command, arguments = found, rest[1:]
        context = click.Context(found, info_name=rest[0], parent=context)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_command_a_page_names_is_there_with_its_options(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    said = [
        (arguments, problem)
        for line in lines(text, markdown=page.suffix == ".md")
        for arguments in commands(line)
        if (problem := wrong(arguments)) is not None
    ]
    assert said == []


def test_commands_are_found_in_blocks_and_sentences_and_wrong_ones_are_noticed() -> None:
    page = "Say `lanner method chek x`, or\n\n    A=1 lanner run -m x --compair | tee out && lanner doctor\n"
    found = [arguments for line in lines(page, markdown=True) for arguments in commands(line)]
    assert found == [["method", "chek", "x"], ["run", "-m", "x", "--compair"], ["doctor"]]
    assert [wrong(arguments) is None for arguments in found] == [False, False, True]
    assert wrong(["run", "--runner", "dokcer"]) == "dokcer is no value of --runner"


def test_every_schema_is_on_the_page_of_schemas() -> None:
    page = (REPOSITORY / "docs" / "reference" / "schemas.md").read_text(encoding="utf-8")
    names = [path.name for path in (REPOSITORY / "schemas").glob("*.schema.json")]
    assert [name for name in names if f"schemas/{name}\n" not in page] == []
