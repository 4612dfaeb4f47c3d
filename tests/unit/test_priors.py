"""Priors: fetched and prepared, embedded, shuffled into their own controls, and compared as rows."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import boards
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from lanner import leaderboard, resources
from lanner.cli import lanner
from lanner.config import Settings, bundled_root
from lanner.datasets.program import run_program
from lanner.errors import ConfigurationError, InfrastructureError
from lanner.resources import derived

GMT = b"p1\tfirst\tA\tB\tC\np2\tsecond\tB\tC\tD\np3\tthird\tD\tE\nall\teverything\tA\tB\tC\tD\tE\n"
NETWORK = b"regulator,target,weight\nR,A,-1\nR,B,1\nS,B,1\nS,C,-1\nA,D,1\n"
PUBLISHED = b"tf target\nR A\n"
CONVERTED = b"R>A\n"
GRANTED = b"regulator,target\nR,A\n"
PREPARE = """
def prepare(sources, parameters, output):
    (path,) = sources.values()
    edge = path.read_text().splitlines()[-1].replace(">", " ").split()
    output.write_text("regulator,target\\n" + ",".join(edge) + "\\n")
"""


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def add(registry: Path, name: str, files: dict[str, bytes] | None = None, **document: Any) -> Settings:
    folder = registry / "resources_registry" / name
    folder.mkdir(parents=True)
    for file, content in (files or {}).items():
        (folder / file).write_bytes(content)
    head = {"id": name, "version": 1, "title": name, "licence": "MIT"}
    (folder / "resource.yaml").write_text(json.dumps({**head, **document}))
    return Settings(home=registry / "home", registry=registry)


@pytest.fixture
def sets(tmp_path: Path) -> Settings:
    packed = gzip.compress(GMT, mtime=0)
    return add(
        tmp_path,
        "sets",
        {"sets.gmt.gz": packed},
        kind="gene-sets",
        file={"path": "sets.gmt.gz", "sha256": sha(packed)},
    )


def add_published(registry: Path, url: str = "file:///nowhere/tf.txt", **changes: Any) -> Settings:
    source = {
        "name": "tf.txt",
        "urls": [url],
        "sha256": sha(PUBLISHED),
        "bytes": len(PUBLISHED),
        "licence": "MIT",
        "converted": {"name": "tf.short", "sha256": sha(CONVERTED), "bytes": len(CONVERTED)},
    }
    document = {
        "kind": "network",
        "citation": {"text": "Nobody."},
        "sources": [source],
        "prepare": {"file": "prepare.py"},
        "sha256": sha(GRANTED),
        **changes,
    }
    return add(registry, "published", {"prepare.py": PREPARE.encode()}, **document)


def table(content: bytes) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(content), index_col="gene", dtype={"gene": str}, keep_default_na=False)


def test_a_packed_file_is_granted_unpacked(sets: Settings) -> None:
    found = resources.find(sets, "sets")
    assert (found.file_name, found.content(["A"])) == ("sets.gene-sets.gmt", GMT)


@pytest.mark.parametrize(("file", "content"), [("tf.txt", PUBLISHED), ("anything", CONVERTED)])
def test_a_published_prior_is_prepared_from_whichever_form_a_mirror_holds(
    file: str, content: bytes, tmp_path: Path
) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / file).write_bytes(content)
    given = add_published(tmp_path)
    offline = Settings(home=given.home, registry=given.registry, mirrors=(mirror,))
    found = resources.find(offline, "published")
    assert (found.file_name, found.sha256) == ("published.network.csv", sha(GRANTED))
    assert found.content(["X"]) == GRANTED
    (mirror / file).unlink()
    assert resources.find(given, "published").content([]) == GRANTED, "kept in LANNER_HOME"


def test_a_published_prior_is_fetched_from_its_address(tmp_path: Path) -> None:
    (tmp_path / "served").write_bytes(PUBLISHED)
    settings = add_published(tmp_path, url=(tmp_path / "served").as_uri())
    assert resources.find(settings, "published").content([]) == GRANTED


def test_a_prior_that_cannot_be_fetched_is_named_before_anything_runs(tmp_path: Path) -> None:
    boards.registry(tmp_path)
    boards.add_method(tmp_path, "constant")
    settings = add_published(tmp_path)
    path = boards.board(tmp_path, ["constant"], resources=["published"])
    with pytest.raises(InfrastructureError, match=r"published: tf\.txt could not be downloaded"):
        leaderboard.expand(leaderboard.load(str(path), settings), settings, runner="process")


def test_what_prepare_makes_must_be_what_the_entry_states(tmp_path: Path) -> None:
    (tmp_path / "served").write_bytes(PUBLISHED)
    settings = add_published(tmp_path, url=(tmp_path / "served").as_uri(), sha256="0" * 64)
    with pytest.raises(ConfigurationError, match="not the one the entry states; correct one of them"):
        resources.find(settings, "published").content([])


def recipe(of: str, values: str, **fields: Any) -> dict[str, Any]:
    return {
        "values": values,
        "of": of,
        **({"seed": 0} if values == "shuffled" else {"dimensions": 2}),
        **fields,
    }


@pytest.mark.parametrize(
    ("kind", "generated", "message"),
    [
        ("features", recipe("made", "embedding"), "made from itself"),
        ("features", recipe("nothing", "embedding"), "no resource named 'nothing'"),
        ("network", recipe("sets", "shuffled"), "its kind must be gene-sets"),
        ("gene-sets", recipe("sets", "embedding"), "an embedding is of kind features"),
        ("features", {"values": "embedding", "of": "sets"}, "resource.schema.json"),
        ("features", recipe("sets", "random"), "resource.schema.json"),
    ],
)
def test_what_cannot_be_derived_is_refused(kind: str, generated: Any, message: str, sets: Settings) -> None:
    assert sets.registry is not None
    add(sets.registry, "made", kind=kind, generated=generated)
    with pytest.raises(ConfigurationError, match=message):
        resources.find(sets, "made")


def test_an_embedding_has_the_inner_products_of_the_weighted_matrix_at_its_rank(sets: Settings) -> None:
    assert sets.registry is not None
    add(sets.registry, "placed", kind="features", generated=recipe("sets", "embedding", dimensions=3))
    granted = table(resources.find(sets, "placed").content(["E", "B", "not in any set"]))
    assert list(granted.index) == ["B", "E"]
    whole = table(resources.find(sets, "placed").whole())
    members = {"p1": "ABC", "p2": "BCD", "p3": "DE"}  # a set of all genes weighs nothing
    M = np.array(
        [[np.log(5 / len(found)) * (gene in found) for found in members.values()] for gene in "ABCDE"]
    )
    M = M / np.linalg.norm(M, axis=1, keepdims=True)
    np.testing.assert_allclose(whole.to_numpy() @ whole.to_numpy().T, M @ M.T, atol=1e-5)
    assert (granted.loc["B"] == whole.loc["B"]).all()


def test_genes_with_the_same_partners_in_a_network_are_placed_alike(tmp_path: Path) -> None:
    edges = b"regulator,target,weight\nR,A,1\nR,B,1\nR,C,-1\nS,D,1\nT,D,1\nT,E,-1\n"
    content = derived.derive("network", edges, recipe("n", "embedding", dimensions=5))
    found = table(content)
    assert set(found.index) == set("ABCDERST")
    close = lambda a, b: np.linalg.norm(found.loc[a] - found.loc[b])  # noqa: E731
    assert close("A", "B") < 1e-5
    assert close("A", "C") > 1.9, "an edge of the other sign"


memberships = st.dictionaries(
    st.sampled_from([f"s{n}" for n in range(8)]),
    st.dictionaries(st.sampled_from("ABCDEFGH"), st.sampled_from(["-1", "1"]), min_size=1),
    min_size=1,
)


@settings(deadline=None, max_examples=60)
@given(memberships, st.integers(0, 2**32 - 1))
def test_a_shuffle_keeps_every_sets_size_and_signs_and_every_genes_number_of_sets(found, seed) -> None:
    traded = derived.trade(found, np.random.default_rng(seed))
    assert set(traded) == set(found)
    for name in found:
        assert sorted(traded[name].values()) == sorted(found[name].values())
    degree = [
        {gene: sum(gene in members for members in given_.values()) for gene in "ABCDEFGH"}
        for given_ in (found, traded)
    ]
    assert degree[0] == degree[1]


def test_a_shuffle_forgets_who_belongs_with_whom() -> None:
    blocks = {f"s{n}": dict.fromkeys([f"g{n % 4}-{m}" for m in range(20)], "") for n in range(40)}
    traded = derived.trade(blocks, np.random.default_rng(0))
    kept = np.mean([len(set(traded[name]) & set(blocks[name])) / 20 for name in blocks])
    assert kept == pytest.approx(0.25, abs=0.08), "what chance gives with four blocks"


@pytest.mark.parametrize(("kind", "content"), [("gene-sets", GMT), ("network", NETWORK)])
def test_a_shuffle_is_the_same_by_seed_and_another_with_another(kind: str, content: bytes) -> None:
    one, again, other = (
        derived.derive(kind, content, recipe("x", "shuffled", seed=seed)) for seed in (0, 0, 5)
    )
    assert one == again
    assert other != one or other != content
    assert len(one.splitlines()) == len(content.splitlines())


def test_shuffled_features_are_the_same_rows_of_other_genes() -> None:
    content = b"gene,a,b\n" + b"".join(b"g%d,%d,%d\n" % (n, n, n * n) for n in range(30))
    made = table(derived.derive("features", content, recipe("x", "shuffled")))
    own = table(content)
    assert list(made.index) == list(own.index)
    assert sorted(made["a"]) == sorted(own["a"]) and (made["b"] == made["a"] ** 2).all()
    assert (made["a"] == own["a"]).mean() < 0.2


def entries() -> list[str]:
    return sorted(
        path.parent.name for path in (bundled_root() / "resources_registry").glob("*/resource.yaml")
    )


@pytest.mark.parametrize("name", entries())
def test_every_bundled_prior_is_described_and_has_its_random_control(name: str, tmp_path: Path) -> None:
    found = resources.find(Settings(home=tmp_path), name)
    described = found.describe()
    assert described["sha256"] == found.sha256 and described["licence"]
    if name in ("random", "empty", "network-empty", "network-dense"):
        return  # themselves controls, made from nothing
    assert described["citation"]["text"]
    if not name.endswith("-shuffled"):
        assert f"{name}-shuffled" in entries()


def test_the_bundled_processes_hold_what_everybody_knows(tmp_path: Path) -> None:
    found = resources.find(Settings(home=tmp_path), "go-bp")
    descriptions, members = derived.read_gmt(found.content([]))
    assert len(members) == 5317
    assert all(10 <= len(genes) <= 300 for genes in members.values())
    (response,) = [term for term, name in descriptions.items() if name == "erythrocyte differentiation"]
    assert {"KLF1", "GATA1"} <= set(members[response])
    (signalling,) = [
        term
        for term, name in descriptions.items()
        if name == "type II interferon-mediated signaling pathway"
        or name == "interferon-gamma-mediated signaling pathway"
    ]
    assert {"IFNGR1", "IFNGR2", "JAK2", "STAT1"} <= set(members[signalling])


@pytest.mark.realdata
def test_dorothea_is_had_from_the_public_file_and_holds_what_everybody_knows(
    shared_settings: Settings,
) -> None:
    content = resources.find(shared_settings, "dorothea").content([])
    network = pd.read_csv(io.BytesIO(content), keep_default_na=False)
    assert len(network) == 13223 and set(network["weight"]) == {-1, 1}
    assert set(network["confidence"]) == {"A", "B", "C"}
    known = network[(network["regulator"] == "STAT1") & (network["target"] == "IRF1")]
    assert list(known["weight"]) == [1]


def test_reactomes_pathways_are_prepared_of_human_genes_alone(tmp_path: Path) -> None:
    folder = bundled_root() / "resources_registry" / "reactome"
    spread = "\t".join(f"GENE{k}" for k in range(301))
    lines = [
        "Late pathway\tR-HSA-2\t18S rRNA\tC1orf112\tHLA-A\tIFNG\tIFNGR1\tgag-pol\tS",
        "Early pathway\tR-HSA-1\tSTAT1\tJAK2\tJAK1\tSARS coronavirus, complete genome",
        "Small pathway\tR-HSA-3\tSTAT1\tgag",
        f"Large pathway\tR-HSA-4\t{spread}",
    ]
    (tmp_path / "pathways.gmt").write_text("\n".join(lines) + "\n")
    sources = {"ReactomePathways.gmt": tmp_path / "pathways.gmt"}
    run_program(folder / "prepare.py", sources, {"least": 3, "most": 300}, tmp_path / "made.gmt")
    assert (tmp_path / "made.gmt").read_text().splitlines() == [
        "R-HSA-1\tEarly pathway\tJAK1\tJAK2\tSTAT1",
        "R-HSA-2\tLate pathway\tC1orf112\tHLA-A\tIFNG\tIFNGR1",
    ]


@pytest.mark.realdata
def test_reactome_is_had_from_its_public_file_and_holds_what_everybody_knows(
    shared_settings: Settings,
) -> None:
    try:
        content = resources.find(shared_settings, "reactome").content([])
    except InfrastructureError as error:
        pytest.skip(f"no mirror and no network: {error}")
    descriptions, members = derived.read_gmt(content)
    assert len(members) == 1614 and all(10 <= len(genes) <= 300 for genes in members.values())
    (signalling,) = [name for name, text in descriptions.items() if text == "Interferon gamma signaling"]
    assert {"IFNGR1", "IFNGR2", "JAK2", "STAT1"} <= set(members[signalling])


def test_grants_are_rows_of_their_own_with_runs_of_their_own(sets: Settings) -> None:
    registry = sets.registry
    assert registry is not None
    boards.registry(registry)
    granted = 'len(list((INPUT / "resources").glob("*"))) if (INPUT / "resources").exists() else 0'
    program = f"X[:] = 0.1 + 0.2 * ({granted}); write()"
    boards.add_method(registry, "counts", program)
    grants: list[list[str]] = [["random", "sets"], ["empty"], []]
    definition = leaderboard.load(str(boards.board(registry, ["counts"], grants=grants)), sets)
    document = boards.build(definition, sets, runner="process", jobs=1, trust_process=True).document
    asked = {row["method"]: row["resources"] for row in document["rows"]}
    assert asked == {
        "counts[resources=random+sets]": ["random", "sets"],
        "counts[resources=empty]": ["empty"],
        "counts[resources=none]": [],
    }
    assert {row["status"] for row in document["rows"]} == {"succeeded"}
    assert len({row["key"] for row in document["rows"]}) == 3
    assert len({row["scores"]["mse"]["value"] for row in document["rows"]}) == 3
    assert {item["method"]: item["resources"] for item in document["summaries"]} == asked
    assert [item["id"] for item in document["resources"]] == ["empty", "random", "sets"]


def test_the_command_line_lists_describes_and_fetches_priors(sets: Settings) -> None:
    assert sets.registry is not None
    add(sets.registry, "placed", kind="features", generated=recipe("sets", "embedding"))

    def run(*arguments: str) -> Any:
        result = CliRunner().invoke(lanner, ["resource", *arguments, "--json"], obj=None, env=environment)
        assert result.exit_code == 0, result.output
        return json.loads(result.output)

    environment = {"LANNER_HOME": str(sets.home)}
    listed = {item["id"]: item for item in run("list")}
    assert set(entries()) <= set(listed) and listed["dorothea-shuffled"]["of"] == "dorothea"
    assert run("info", "go-bp")["citation"]["doi"] == "10.1093/nar/gkaa1113"
    arguments = ["--registry", str(sets.registry), "resource", "fetch", "placed", "--json"]
    fetched = json.loads(CliRunner().invoke(lanner, arguments, env=environment).output)
    assert Path(fetched["at"]).read_bytes() == resources.find(sets, "placed").whole()


def test_what_is_granted_is_said_once(sets: Settings) -> None:
    assert sets.registry is not None
    boards.registry(sets.registry)
    boards.add_method(sets.registry, "constant")
    path = boards.board(sets.registry, ["constant"], resources=["sets"], grants=[["sets"], ["empty"]])
    with pytest.raises(ConfigurationError, match="give one of them"):
        leaderboard.load(str(path), sets)


def test_every_row_says_what_was_asked(tmp_path: Path) -> None:
    registry = boards.registry(tmp_path)
    boards.add_method(registry, "constant")
    settings = Settings(home=tmp_path / "home", registry=registry)
    designs = ["unseen-perturbation", {"id": "data-scaling", "parameters": {"base": "unseen-perturbation"}}]
    datasets = [{"id": "tiny", "splits": designs}]
    path = boards.board(tmp_path, ["constant"], datasets=datasets, reveal="level", resources=["random"])
    definition = leaderboard.load(str(path), settings)
    document = boards.build(definition, settings, runner="process", jobs=1, trust_process=True).document
    for line in (*document["rows"], *document["summaries"]):
        assert (line["options"]["reveal"], line["resources"]) == ("level", ["random"])
    steps = {line["split"]: line["series"] for line in document["summaries"]}
    assert steps.pop("unseen-perturbation") is None
    assert steps and all(found["name"] == "data-scaling" for found in steps.values())
    assert [found["step"] for _, found in sorted(steps.items())] == document["series"][0]["steps"]
