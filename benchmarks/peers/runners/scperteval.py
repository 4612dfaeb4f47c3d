"""scPertEval 0.2.0 on the small data: its protocols at their defaults, but Sinkhorn's (an extra)."""

from __future__ import annotations

import sys
from pathlib import Path

import anndata as ad
import pandas as pd
import scipy.sparse as sp
import scperteval
from scperteval.protocols.table import TABLE

from benchmarks.peers import answers, data
from benchmarks.peers.data import SmallSide

SETTINGS = "prepare(workers=1), score(), each protocol at its default; X float64 CSR"


def file_of(side: SmallSide) -> ad.AnnData:
    cells, labels = side.stacked()
    obs = pd.DataFrame({"perturbation": labels}, index=[f"cell_{i}" for i in range(len(labels))])
    return ad.AnnData(X=sp.csr_matrix(cells), obs=obs, var=pd.DataFrame(index=list(data.GENES)))


def main(out: Path) -> None:
    small = data.small()
    prepared = scperteval.prepare(file_of(small.truth), [], control_label=data.CONTROL, workers=1)
    prediction = file_of(small.prediction)
    values = {}
    for protocol in TABLE:
        if protocol.requires_extra is None:
            frame = scperteval.score(prepared, protocol.name, prediction).per_perturbation
            scores = dict(zip(frame["perturbation"], frame["score"], strict=True))
            values[protocol.name] = {label: scores.get(label) for label in sorted(data.SIZES)}
    answers.write(
        out, "scPertEval", ["scperteval", "scikit-learn", "scipy", "numpy"], small, SETTINGS, values
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
