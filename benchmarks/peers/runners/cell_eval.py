"""cell-eval 0.8.2 on the small data: every column of its full profile but clustering_agreement."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import anndata as ad
import pandas as pd
import scipy.sparse as sp
from cell_eval import MetricsEvaluator

from benchmarks.peers import answers, data
from benchmarks.peers.data import SmallSide

SETTINGS = "MetricsEvaluator.compute(profile='full', skip_metrics=['clustering_agreement']); X float64 CSR"


def file_of(side: SmallSide) -> ad.AnnData:
    cells, labels = side.stacked()
    obs = pd.DataFrame({"perturbation": labels}, index=[f"cell_{i}" for i in range(len(labels))])
    return ad.AnnData(X=sp.csr_matrix(cells), obs=obs, var=pd.DataFrame(index=list(data.GENES)))


def main(out: Path) -> None:
    small = data.small()
    with tempfile.TemporaryDirectory() as folder:
        evaluator = MetricsEvaluator(
            adata_pred=file_of(small.prediction),
            adata_real=file_of(small.truth),
            control_pert=data.CONTROL,
            pert_col="perturbation",
            num_threads=1,
            outdir=folder,
        )
        results, _ = evaluator.compute(
            profile="full", skip_metrics=["clustering_agreement"], write_csv=False, break_on_error=True
        )
    labels = results["perturbation"].to_list()
    values = {
        name: dict(sorted(zip(labels, results[name].to_list(), strict=True)))
        for name in results.columns
        if name != "perturbation"
    }
    answers.write(
        out, "cell-eval", ["cell-eval", "pdex", "numba-mwu", "polars", "numpy"], small, SETTINGS, values
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
