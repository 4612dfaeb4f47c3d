"""What every registry entry must satisfy; a new folder is tested without a word added here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lanner import schemas
from lanner.datasets import read_entry
from lanner.datasets.facts import CHECKS

REPOSITORY = Path(__file__).parent.parent.parent
FOLDERS = sorted(path.parent for path in (REPOSITORY / "datasets_registry").glob("*/dataset.yaml"))
SCHEMA = REPOSITORY / "schemas" / "dataset.schema.json"

entry_folder = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def test_every_folder_of_the_registry_is_an_entry() -> None:
    folders = [path for path in (REPOSITORY / "datasets_registry").iterdir() if path.is_dir()]
    assert sorted(path.name for path in folders) == [folder.name for folder in FOLDERS]
    assert FOLDERS


@entry_folder
def test_the_entry_passes_the_schema_and_is_named_like_its_folder(folder: Path) -> None:
    assert read_entry(folder).id == folder.name


@entry_folder
def test_the_entry_says_whose_data_they_are_and_on_what_terms(folder: Path) -> None:
    entry = read_entry(folder)
    citation = entry.document["citation"]
    assert entry.document["licence"].strip()
    assert all(source.licence.strip() for source in entry.sources)
    assert citation.get("doi") or citation.get("accession") or (entry.is_embedded and citation["reason"])


@entry_folder
def test_the_entry_explains_itself_and_recommends_a_split(folder: Path) -> None:
    entry = read_entry(folder)
    assert entry.document.get("summary") and entry.splits and entry.facts


@entry_folder
def test_every_address_is_pinned_to_one_version_of_the_file(folder: Path) -> None:
    for source in read_entry(folder).sources:
        for url in source.urls:
            assert url.startswith("https://")
            if "githubusercontent" in url:
                assert len(url.split("/")[5]) == 40, "a commit, not a branch"


@entry_folder
def test_the_folder_holds_nothing_but_the_entry(folder: Path) -> None:
    files = {path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert files <= {"dataset.yaml", "prepare.py", "networks.py", "README.md"}


def _objects(schema: Any, where: str = "schema") -> list[tuple[str, dict[str, Any]]]:
    found = []
    for name, field in schema.get("properties", {}).items():
        found.append((f"{where}.{name}", field))
        found += _objects(field, f"{where}.{name}")
        if isinstance(field.get("items"), dict):
            found += _objects(field["items"], f"{where}.{name}[]")
    return found


def test_the_schema_describes_every_field_and_closes_every_object() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    schemas.validator("dataset").check_schema(schema)
    for where, field in _objects(schema):
        assert field.get("description"), where
        if "properties" in field:
            assert field["additionalProperties"] is False, where


def test_every_kind_of_fact_the_schema_allows_can_be_checked() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    allowed = schema["properties"]["facts"]["items"]["properties"]["check"]["enum"]
    assert sorted(CHECKS) == sorted(allowed)
