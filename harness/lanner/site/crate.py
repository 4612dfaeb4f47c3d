"""ro-crate-metadata.json: what the folder holds and what it was made from (RO-Crate 1.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lanner import __version__

CONTEXT = "https://w3id.org/ro/crate/1.1/context"
MEDIA = {
    "json": "application/json",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "md": "text/markdown",
    "html": "text/html",
}


def crate(
    document: Mapping[str, Any], files: Sequence[Mapping[str, str]], ended: str | None = None
) -> dict[str, Any]:
    """The metadata of a site; ``files`` are its downloads, as ``path`` and ``about``.

    ``ended`` (ISO 8601), when the last of the runs ended, is the one date: equal runs give equal metadata.
    RO-Crate 1.1 demands a date of its first entity, so without one the metadata are incomplete.
    """
    datasets = [_dataset(item) for item in document["datasets"]]
    return {
        "@context": CONTEXT,
        "@graph": [
            {
                "@id": "ro-crate-metadata.json",
                "@type": "CreativeWork",
                "about": {"@id": "./"},
                "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
            },
            {
                "@id": "./",
                "@type": "Dataset",
                "name": document["title"],
                "description": document["description"] or document["title"],
                "identifier": document["name"],
                **({"datePublished": ended} if ended else {}),
                "hasPart": [{"@id": file["path"]} for file in files],
                "isBasedOn": [{"@id": item["@id"]} for item in datasets],
                "license": sorted(
                    {str(item["licence"]) for item in document["datasets"] if item.get("licence")}
                ),
                "mainEntity": {"@id": "leaderboard.json"},
            },
            *(_file(file) for file in files),
            *datasets,
            {
                "@id": "#lanner",
                "@type": "SoftwareApplication",
                "name": "Lanner",
                "softwareVersion": __version__,
            },
            {
                "@id": "#build",
                "@type": "CreateAction",
                "name": f"lanner leaderboard build {document['name']}",
                "instrument": {"@id": "#lanner"},
                "object": [{"@id": item["@id"]} for item in datasets],
                "result": {"@id": "./"},
            },
        ],
    }


def _file(file: Mapping[str, str]) -> dict[str, Any]:
    return {
        "@id": file["path"],
        "@type": "File",
        "name": file["about"],
        "encodingFormat": MEDIA.get(file["path"].rpartition(".")[2], "application/octet-stream"),
    }


def _dataset(item: Mapping[str, Any]) -> dict[str, Any]:
    citation = item.get("citation") or {}
    return {
        "@id": f"#dataset-{item['id']}",
        "@type": "Dataset",
        "name": item["title"],
        "version": str(item["version"]),
        "identifier": item["content"],
        "license": item.get("licence"),
        "citation": citation.get("text"),
        **({"sameAs": f"https://doi.org/{citation['doi']}"} if citation.get("doi") else {}),
    }
