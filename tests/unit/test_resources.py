"""Resources: what is granted, by what name and hash, to every method alike."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import boards
import pandas as pd
import pytest
from lanner import leaderboard, resources
from lanner.config import Settings
from lanner.errors import ConfigurationError

TABLE = b"gene,a,b\nREG000,1,2\n"
SHOW = """
granted = sorted((INPUT / "resources").iterdir()) if (INPUT / "resources").exists() else []
lines = [len(path.read_text().splitlines()) for path in granted]
seen = "; ".join(f"{path.name}={n} {oct(path.stat().st_mode)}" for path, n in zip(granted, lines))
print(seen or "nothing", file=sys.stderr)
sys.exit(99)
"""


def add_resource(registry: Path, name: str = "own", content: bytes = TABLE, **fields: object) -> Path:
    folder = registry / "resources_registry" / name
    folder.mkdir(parents=True)
    (folder / "table.csv").write_bytes(content)
    sha256 = hashlib.sha256(TABLE).hexdigest()
    document = {
        "id": name,
        "version": 1,
        "title": "Two features",
        "kind": "features",
        "licence": "MIT",
        "file": {"path": "table.csv", "sha256": sha256},
        **fields,
    }
    (folder / "resource.yaml").write_text(json.dumps(document))
    return folder


def table(content: bytes) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(content), index_col="gene", dtype={"gene": str}, keep_default_na=False)


def test_random_features_of_a_gene_depend_on_nothing_but_its_name_and_the_seed(settings: Settings) -> None:
    random = resources.find(settings, "random")
    one = table(random.content(["A", "B", 'odd,"name"', "NA"]))
    other = table(random.content(["Z", "B"]))
    assert list(one.index) == sorted(["A", "B", 'odd,"name"', "NA"])
    assert one.shape == (4, 16)
    assert one.loc["B"].equals(other.loc["B"])
    assert random.content(["B", "A"]) == random.content(["A", "B", "A"])
    assert len(set(one.to_numpy().ravel())) == 64


def test_the_empty_table_lists_genes_without_features(settings: Settings) -> None:
    empty = resources.find(settings, "empty")
    assert empty.content(["B", "A"]) == b"gene\nA\nB\n"
    assert empty.file_name == "empty.features.csv"
    assert empty.sha256 != resources.find(settings, "random").sha256


def test_control_networks_have_none_or_all_of_the_edges(settings: Settings) -> None:
    empty, dense = (resources.find(settings, f"network-{name}") for name in ("empty", "dense"))
    assert empty.content(["B", "A"]) == b"regulator,target,weight\n"
    lines = dense.content(["B", "A", "C"]).decode().splitlines()
    assert lines[:3] == ["regulator,target,weight", "A,B,1", "A,C,1"] and len(lines) == 1 + 6
    assert (dense.kind, dense.file_name) == ("network", "network-dense.network.csv")
    with pytest.raises(ConfigurationError, match="more than 5,000,000 edges"):
        dense.content([f"G{number}" for number in range(3000)])


def test_features_are_never_dense_and_networks_never_random_numbers(tmp_path: Path) -> None:
    recipe = {"random": {"values": "random", "dimensions": 2, "seed": 0}, "dense": {"values": "dense"}}
    for kind, values in (("features", "dense"), ("network", "random"), ("gene-sets", "dense")):
        folder = add_resource(tmp_path, f"{kind}-{values}", kind=kind, generated=recipe[values])
        document = json.loads((folder / "resource.yaml").read_text())
        del document["file"]
        (folder / "resource.yaml").write_text(json.dumps(document))
        with pytest.raises(ConfigurationError, match=f"{values} values are not made for kind {kind}"):
            resources.load(folder, Settings(home=tmp_path / "home"))


def test_a_user_provided_file_is_found_named_and_granted_as_it_is(tmp_path: Path) -> None:
    add_resource(tmp_path)
    own = resources.find(Settings(home=tmp_path / "home", registry=tmp_path), "own")
    assert own.file_name == "own.features.csv"
    assert own.content([]) == TABLE
    assert own.sha256 == hashlib.sha256(TABLE).hexdigest()


@pytest.mark.parametrize(
    ("content", "fields", "message"),
    [
        (b"gene,a\n", {}, "has the sha256"),
        (TABLE, {"id": "other"}, "must equal its folder's name"),
        (TABLE, {"generated": {"values": "empty"}}, "resource.schema.json"),
        (TABLE, {"file": {"path": "../x.csv", "sha256": "0" * 64}}, "file.path"),
        (TABLE, {"file": {"path": "x.csv", "sha256": "0" * 64}}, "cannot be read"),
    ],
)
def test_a_malformed_entry_is_refused_with_its_path(content, fields, message, tmp_path: Path) -> None:
    folder = add_resource(tmp_path, content=content, **fields)
    with pytest.raises(ConfigurationError, match=message) as raised:
        resources.load(folder, Settings(home=tmp_path))
    assert str(folder) in str(raised.value)


def test_genes_are_those_measured_and_all_parts_of_the_conditions() -> None:
    found = resources.genes_of(["A", "B"], ["C+A|K562|x", "drug@10|K562", "D|a+b"])
    assert found == {"A", "B", "C", "drug", "D"}


def test_every_method_finds_what_the_leaderboard_grants_and_the_run_key_says_so(tmp_path: Path) -> None:
    registry = boards.registry(tmp_path / "registry")
    add_resource(registry)
    boards.add_method(registry, "shows", SHOW)
    settings = Settings(home=tmp_path / "home", registry=registry)
    keys = {}
    for granted in ([], ["own"], ["own", "random"]):
        path = boards.board(tmp_path, ["shows"], resources=granted)
        definition = leaderboard.load(str(path), settings)
        campaign = leaderboard.expand(definition, settings, runner="process", trust_process=True)
        keyed = campaign.cells[0].plan.spec["keyed"]
        assert list(keyed["resources"]) == granted
        keys[campaign.cells[0].plan.folder.key] = granted
        results = boards.build(definition, settings, runner="process", jobs=1, trust_process=True)
        reason = results.document["rows"][0]["reason"]
        genes = 1 + boards.SIZE["n_genes"]
        expected = {"own": "own.features.csv=2 0o100444", "random": f"random.features.csv={genes} 0o100444"}
        assert reason == ("; ".join(expected[name] for name in granted) or "nothing")
    assert len(keys) == 3


def test_a_resource_that_has_changed_since_it_was_planned_is_told(tmp_path: Path) -> None:
    registry = boards.registry(tmp_path / "registry")
    folder = add_resource(registry)
    boards.add_method(registry, "shows", SHOW)
    settings = Settings(home=tmp_path / "home", registry=registry)
    definition = leaderboard.load(str(boards.board(tmp_path, ["shows"], resources=["own"])), settings)
    (folder / "table.csv").write_bytes(TABLE + b"REG001,3,4\n")
    results = boards.build(definition, settings, runner="process", jobs=1, trust_process=True)
    row = results.document["rows"][0]
    assert (str(row["status"]), row["reason"].count("sha256")) == ("failed", 1)
