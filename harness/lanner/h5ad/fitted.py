"""Names of what a published AnnData file holds that was computed from all of its cells."""

from __future__ import annotations

from pathlib import Path

import h5py

from lanner.h5ad.source import SourceFile

HIGHLY_VARIABLE = ("highly_variable", "highly_variable_rank", "vst.variable", "hvg", "is_hvg")
CLUSTERED = ("leiden", "louvain", "seurat_clusters", "cluster", "clusters", "phase", "dpt_pseudotime")


def fitted_elements(path: Path) -> list[str]:
    """Parts of an AnnData file that were computed from all of its cells, such as ``obsm/X_pca``.

    Embeddings, loadings, graphs, whatever ``uns`` holds but colours and categories, flags of variable genes,
    clusters. Names only; ConfigurationError where the file is not AnnData.
    """
    with SourceFile(path) as source, h5py.File(path, "r") as file:
        found = [
            f"{group}/{name}"
            for group in ("obsm", "varm", "obsp", "varp", "uns")
            if isinstance(file.get(group), h5py.Group)
            for name in file[group]
            if not name.endswith(("_colors", "_categories")) and name != "log1p"
        ]
        found += [f"var/{name}" for name in source.var if str(name).lower() in HIGHLY_VARIABLE]
        found += [f"obs/{name}" for name in source.obs if str(name).lower() in CLUSTERED]
    return sorted(found)
