"""The catalogue of both kinds of metrics, and the pages written from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from lanner import catalogue
from lanner.catalogue.pages import GENERATED, pages, write
from lanner.compat import COMPAT
from lanner.errors import ConfigurationError
from lanner.metrics import METRICS
from lanner.networks import NETWORK_METRICS

REFERENCE = Path(__file__).parent.parent.parent / "docs" / "reference" / "metrics"


def test_no_peer_takes_the_name_of_an_own_metric() -> None:
    assert not set(METRICS) & set(COMPAT)
    assert list(catalogue.names()) == [*METRICS, *COMPAT]


def test_every_metric_is_in_exactly_one_family() -> None:
    found = [name for names in catalogue.families().values() for name in names]
    assert sorted(found) == sorted(catalogue.names())


def test_own_metrics_stand_with_the_peers_of_their_name() -> None:
    assert catalogue.family_of("pearson_delta/top20") == COMPAT["cell_eval/pearson_delta"].card.family
    assert catalogue.family_of("pds_l1") == COMPAT["perturbench/rmse_rank_average"].card.family
    assert catalogue.family_of("r2_corr/profile/deg") == COMPAT["zhu/r2_deg"].card.family
    assert catalogue.family_of("de_auprc/zhu") == COMPAT["zhu/auprc"].card.family


def test_a_metric_that_nobody_else_has_is_a_family_of_its_own() -> None:
    assert catalogue.members("calibration_slope") == ("calibration slope", ["calibration_slope"])
    assert catalogue.members("gi/auprc")[1] == ["gi/auprc"]


@pytest.mark.parametrize("name", ["pearson delta", "pearson_delta", "systema/corr_all", "Pearson Delta"])
def test_a_family_is_found_by_its_name_or_by_any_member(name: str) -> None:
    family, names = catalogue.members(name)
    assert family == "pearson delta"
    assert {"pearson_delta", "cell_eval/pearson_delta", "ahlmann_eltze/pearson_delta"} <= set(names)


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'pds'"):
        catalogue.members("pdss")
    with pytest.raises(ConfigurationError, match="did you mean 'cell_eval/mse'"):
        catalogue.find("cell_eval/msee")


def test_the_committed_pages_are_what_the_cards_say_now() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in REFERENCE.glob("*.md")}
    written = pages()
    assert sorted(committed) == sorted(written), "run: lanner metric docs --out docs/reference/metrics"
    for name, text in written.items():
        assert committed[name] == text, f"{name}: run lanner metric docs --out docs/reference/metrics"


def test_every_metric_has_an_entry_with_its_hash_and_definition() -> None:
    text = "\n".join(pages().values())
    for name in catalogue.names():
        assert f"\n## {name}\n" in text
        assert catalogue.find(name).card.sha256[:12] in text
    assert all(COMPAT[name].card.faults[:20].replace("|", "\\|") in text for name in COMPAT)


def test_every_metric_of_networks_has_an_entry_and_is_found_by_its_name() -> None:
    text = "\n".join(pages().values())
    assert sorted(catalogue.network_names()) == list(NETWORK_METRICS)
    for name in catalogue.network_names():
        assert f"\n## {name}\n" in text
        assert NETWORK_METRICS[name].card.sha256[:12] in text
        card = NETWORK_METRICS[name].card
        assert catalogue.document(name)["kind"] == (catalogue.PEER if card.peer else catalogue.OWN)
        assert card.faults[:20] in text


def test_writing_again_changes_nothing_and_removes_pages_without_cards(tmp_path: Path) -> None:
    write(tmp_path)
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / "peer-gone.md").write_text(f"{GENERATED}\n# Gone\n", encoding="utf-8")
    (tmp_path / "mine.md").write_text("# By hand\n", encoding="utf-8")
    write(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first | {
        "mine.md": b"# By hand\n"
    }


def test_table_cells_do_not_break_the_table() -> None:
    for text in pages().values():
        for line in text.splitlines():
            if line.startswith("| ") and not line.startswith("| ["):
                assert line.replace("\\|", "").count("|") == 3, line
