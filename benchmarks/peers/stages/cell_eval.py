"""cell-eval 0.8.2 and pdex 0.3.0, in-process. Compiled on a tiny set first, outside what is timed."""

from __future__ import annotations

import sys
import tempfile
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from cell_eval import MetricsEvaluator
from cell_eval.metrics._anndata import discrimination_score, edistance, pearson_delta
from pdex import pdex

from benchmarks.peers.stages.clock import Clock

CONTROL, COLUMN, THREADS = "non-targeting", "target_gene", 2


def _pair(truth: str, prediction: str) -> Any:
    """Both files read and checked as cell-eval does, without its DE."""
    with tempfile.TemporaryDirectory() as folder:
        return MetricsEvaluator(
            adata_pred=prediction,
            adata_real=truth,
            control_pert=CONTROL,
            pert_col=COLUMN,
            num_threads=THREADS,
            outdir=folder,
            skip_de=True,
        ).anndata_pair


def _tests(adata: ad.AnnData) -> Any:
    return pdex(
        adata,
        groupby=COLUMN,
        mode="ref",
        reference=CONTROL,
        threads=THREADS,
        is_log1p=True,
        epsilon=0.0,
    )


def _warm() -> None:
    labels = [CONTROL] * 8 + ["a"] * 8
    cells = sp.csr_matrix(np.random.default_rng(0).poisson(1.0, (16, 5)).astype(np.float32))
    _tests(ad.AnnData(X=cells, obs=pd.DataFrame({COLUMN: labels}, index=[str(i) for i in range(16)])))


def main(stage: str, truth: str, prediction: str, out: str) -> None:
    values: dict[str, Any] = {}
    if stage == "de":
        adata = ad.read_h5ad(truth)
        _warm()
        with Clock() as clock:
            frame = _tests(adata)
        labels = np.unique(frame["target"].to_numpy().astype(str))
        frame = frame.sort("target", maintain_order=True)
        shape = (len(labels), adata.n_vars)
        columns = {"u": "statistic", "p": "p_value", "fdr": "fdr"}
        values = {name: frame[column].to_numpy().reshape(shape) for name, column in columns.items()}
    elif stage == "pearson_delta":
        with Clock() as clock:
            pair = _pair(truth, prediction)
            found = pearson_delta(pair)
        labels, values = np.array(list(found)), {"values": np.array(list(found.values()))}
    else:
        pair = _pair(truth, prediction)
        if stage == "pds":
            pair._initialize_bulk_arrays()
            with Clock() as clock:
                scores = {name: discrimination_score(pair, metric=name) for name in ("l1", "l2", "cosine")}
            labels = np.array(list(scores["l1"]))
            values = {name: np.array(list(of.values())) for name, of in scores.items()}
        elif stage == "energy_control":
            with Clock() as clock:
                correlation = edistance(pair)
            labels, values = np.array(pair.perts), {"correlation": np.array([correlation])}
        else:
            raise SystemExit(f"no stage {stage!r}")
    np.savez(out, labels=labels, **values)
    clock.report()


if __name__ == "__main__":
    main(*sys.argv[1:])
