"""Hostile, broken and merely odd prediction files: one small builder each, with what must become of it.

A builder gets the path to write and the path of the truth, a good file with other values that no prediction
may ever return. ``HOSTILE`` holds (builder, code of the PredictionError), ``FINE`` the builders of files
that are accepted.
"""

from __future__ import annotations

import os
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from h5py import h5d, h5p, h5s, h5t, h5z
from lanner.h5ad.expectation import Expectation

Builder = Callable[[Path, Path], None]

REQUESTS = tuple(f"r{i}" for i in range(6))
N_CELLS = 3
GENES = tuple(f"GENE{i}" for i in range(8))
ROWS = [f"{request}/{cell}" for request in REQUESTS for cell in range(N_CELLS)]
SHAPE = (len(ROWS), len(GENES))
CANARY = 7.25
EXPECTED = Expectation.on_scale("log1p-cp10k", request_ids=REQUESTS, n_cells=N_CELLS, genes=GENES)

HOSTILE: list[tuple[Builder, str]] = []
FINE: list[Builder] = []


def hostile(code: str) -> Callable[[Builder], Builder]:
    """Register a builder of a file that is refused with ``code``."""

    def register(builder: Builder) -> Builder:
        HOSTILE.append((builder, code))
        return builder

    return register


def fine(builder: Builder) -> Builder:
    """Register a builder of a file that is accepted."""
    FINE.append(builder)
    return builder


def values() -> np.ndarray:
    """The good prediction, float32, shape SHAPE, on a log1p scale, about half zeros."""
    draws = np.random.default_rng(1).gamma(1.0, 1.0, SHAPE) - 0.7
    return np.clip(draws, 0, 4).astype(np.float32)


def write_names(file: h5py.File, rows: list[str] = ROWS, genes: tuple[str, ...] = GENES) -> None:
    text = h5py.string_dtype()
    file.create_dataset("obs/_index", data=np.array(rows, object), dtype=text)
    file.create_dataset("var/_index", data=np.array(genes, object), dtype=text)


def write_good(path: Path, *, X: np.ndarray | None = None, **options: object) -> None:
    with h5py.File(path, "w") as file:
        write_names(file)
        file.create_dataset("X", data=values() if X is None else X, **options)


def write_truth(path: Path) -> None:
    """A complete prediction whose every value is the canary."""
    write_good(path, X=np.full(SHAPE, CANARY, np.float32))


def csr_parts() -> dict[str, np.ndarray]:
    dense = values()
    rows, columns = np.nonzero(dense)
    indptr = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=SHAPE[0]))))
    return {
        "data": dense[rows, columns],
        "indices": columns.astype(np.int32),
        "indptr": indptr.astype(np.int32),
    }


def write_csr(path: Path, **changed: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        write_names(file)
        for name, array in {**csr_parts(), **changed}.items():
            file.create_dataset(f"X/{name}", data=array)
        file["X"].attrs["shape"] = SHAPE


def bare_file(path: Path) -> h5py.File:
    file = h5py.File(path, "w")
    write_names(file)
    return file


def family(code: str, name: str, builders: dict[str, Builder]) -> None:
    """Register several builders that differ in one detail."""
    for detail, builder in builders.items():
        builder.__name__ = f"{name}_{detail}"
        HOSTILE.append((builder, code))


# good, and odd where the contract does not look


@fine
def dense_float32(path: Path, truth: Path) -> None:
    write_good(path)


@fine
def dense_gzip_shuffled(path: Path, truth: Path) -> None:
    write_good(path, compression="gzip", shuffle=True, fletcher32=True, chunks=(5, 3))


@fine
def dense_lzf(path: Path, truth: Path) -> None:
    write_good(path, compression="lzf")


@fine
def dense_float64(path: Path, truth: Path) -> None:
    write_good(path, X=values().astype(np.float64))


@fine
def dense_big_endian(path: Path, truth: Path) -> None:
    write_good(path, X=values().astype(">f4"))


@fine
def csr_int32(path: Path, truth: Path) -> None:
    write_csr(path)


@fine
def csr_int64_unsorted(path: Path, truth: Path) -> None:
    parts = csr_parts()
    order = np.concatenate(
        [np.arange(a, b)[::-1] for a, b in zip(parts["indptr"][:-1], parts["indptr"][1:], strict=True)]
    )
    write_csr(path, data=parts["data"][order], indices=parts["indices"][order].astype(np.int64))


@fine
def fixed_width_names(path: Path, truth: Path) -> None:
    with h5py.File(path, "w") as file:
        file["obs/_index"], file["var/_index"] = np.array(ROWS, "S32"), np.array(GENES, "S32")
        file["X"] = values()


@fine
def names_in_gzip(path: Path, truth: Path) -> None:
    with h5py.File(path, "w") as file:
        for axis, names in (("obs", ROWS), ("var", GENES)):
            options = {"dtype": h5py.string_dtype(), "compression": "gzip", "shuffle": True, "chunks": (5,)}
            file.create_dataset(f"{axis}/_index", data=np.array(names, object), **options)
        file.create_dataset("X", data=values(), compression="gzip", fletcher32=True)


@fine
def lzf_that_does_not_pay(path: Path, truth: Path) -> None:
    write_good(path, compression="lzf", chunks=(1, 1))


@fine
def bytes_appended(path: Path, truth: Path) -> None:
    write_good(path)
    with path.open("ab") as stream:
        stream.write(b"more" * 100)


@fine
def bad_categories_beside(path: Path, truth: Path) -> None:
    write_good(path)
    with h5py.File(path, "a") as file:
        file["obs/perturbation/codes"] = np.full(3, 99, np.int8)
        file["obs/perturbation/categories"] = np.array([b"A", b"A"])


@fine
def codes_all_missing_beside(path: Path, truth: Path) -> None:
    write_good(path)
    with h5py.File(path, "a") as file:
        file["obs/batch/codes"] = np.full(SHAPE[0], -1, np.int8)


@fine
def unknown_encodings(path: Path, truth: Path) -> None:
    write_csr(path)
    with h5py.File(path, "a") as file:
        file["X"].attrs["encoding-type"], file["X"].attrs["encoding-version"] = "quantum_matrix", "99.0"
        file["obs"].attrs["column-order"] = [b"nothing", b"exists"]


@fine
def sparse_shape_attribute_lies(path: Path, truth: Path) -> None:
    write_csr(path)
    with h5py.File(path, "a") as file:
        file["X"].attrs["shape"] = (10**9, 10**9)


@fine
def index_attribute_points_elsewhere(path: Path, truth: Path) -> None:
    write_good(path)
    with h5py.File(path, "a") as file:
        file["obs"].attrs["_index"] = "../var/_index"


@fine
def huge_attribute(path: Path, truth: Path) -> None:
    with h5py.File(path, "w", libver="latest") as file:
        write_names(file)
        file["X"] = values()
        file.attrs["note"] = np.zeros(4 << 20, np.uint8)


# pointing elsewhere


@hostile("link")
def external_link_at_matrix(path: Path, truth: Path) -> None:
    with bare_file(path) as file:
        file["X"] = h5py.ExternalLink(str(truth), "/X")


@hostile("link")
def external_link_relative(path: Path, truth: Path) -> None:
    with bare_file(path) as file:
        file["X"] = h5py.ExternalLink(os.path.relpath(truth, path.parent), "/X")


@hostile("link")
def external_link_by_proc(path: Path, truth: Path) -> None:
    with bare_file(path) as file:
        file["X"] = h5py.ExternalLink(f"/proc/self/cwd/{truth.name}", "/X")


@hostile("link")
def external_link_at_obs(path: Path, truth: Path) -> None:
    with h5py.File(path, "w") as file:
        file["X"], file["var/_index"] = values(), np.array(GENES, "S8")
        file["obs"] = h5py.ExternalLink(str(truth), "/obs")


@hostile("link")
def external_link_in_layers(path: Path, truth: Path) -> None:
    write_good(path)
    with h5py.File(path, "a") as file:
        file["layers/prediction"] = h5py.ExternalLink(str(truth), "/X")


@hostile("link")
def external_link_at_csr_data(path: Path, truth: Path) -> None:
    write_csr(path)
    with h5py.File(path, "a") as file:
        del file["X/data"]
        file["X/data"] = h5py.ExternalLink(str(truth), "/X")


def raw_storage(path: Path, target: Path | str, offset: int, dtype: type = np.float32) -> None:
    with bare_file(path) as file:
        n_bytes = SHAPE[0] * SHAPE[1] * np.dtype(dtype).itemsize
        file.create_dataset("X", SHAPE, dtype, external=[(str(target), offset, n_bytes)])


@hostile("link")
def raw_storage_of_the_truth(path: Path, truth: Path) -> None:
    with h5py.File(truth) as file:
        offset = file["X"].id.get_offset()
    raw_storage(path, truth, offset)


family(
    "link",
    "raw_storage",
    {
        "of_passwd": lambda path, truth: raw_storage(path, "/etc/passwd", 0, np.uint8),
        "of_environ": lambda path, truth: raw_storage(path, "/proc/self/environ", 0, np.uint8),
    },
)


@hostile("link")
def raw_storage_of_a_fifo(path: Path, truth: Path) -> None:
    fifo = path.with_suffix(".fifo")
    os.mkfifo(fifo)
    raw_storage(path, fifo, 0)


@hostile("link")
def virtual_dataset(path: Path, truth: Path) -> None:
    layout = h5py.VirtualLayout(SHAPE, np.float32)
    layout[:] = h5py.VirtualSource(str(truth), "X", SHAPE, np.float32)
    with bare_file(path) as file:
        file.create_virtual_dataset("X", layout)


@hostile("link")
def virtual_dataset_without_source(path: Path, truth: Path) -> None:
    layout = h5py.VirtualLayout(SHAPE, np.float32)
    layout[:] = h5py.VirtualSource("absent.h5ad", "X", SHAPE, np.float32)
    with bare_file(path) as file:
        file.create_virtual_dataset("X", layout)


@hostile("link")
def soft_link_to_a_sibling(path: Path, truth: Path) -> None:
    with bare_file(path) as file:
        file["Y"] = values()
        file["X"] = h5py.SoftLink("/Y")


@hostile("link")
def soft_link_through_an_external_one(path: Path, truth: Path) -> None:
    with bare_file(path) as file:
        file["aside"] = h5py.ExternalLink(str(truth), "/")
        file["X"] = h5py.SoftLink("/aside/X")


@hostile("link")
def soft_link_loop(path: Path, truth: Path) -> None:
    with bare_file(path) as file:
        file["X"], file["Y"] = h5py.SoftLink("/Y"), h5py.SoftLink("/X")


@hostile("link")
def soft_link_at_var_index(path: Path, truth: Path) -> None:
    write_good(path)
    with h5py.File(path, "a") as file:
        file.move("var/_index", "names")
        file["var/_index"] = h5py.SoftLink("/names")


@hostile("link")
def group_cycle(path: Path, truth: Path) -> None:
    write_good(path)
    with h5py.File(path, "a") as file:
        file.create_group("uns/a/b")
        file["uns/a/b/again"] = file["uns/a"]


@hostile("link")
def root_inside_itself(path: Path, truth: Path) -> None:
    write_good(path)
    with h5py.File(path, "a") as file:
        file["uns"] = file["/"]


@hostile("link")
def billion_laughs(path: Path, truth: Path) -> None:
    write_good(path)
    with h5py.File(path, "a") as file:
        group = file.create_group("uns")
        for _ in range(24):
            inner = group.create_group("left")
            group["right"] = inner
            group = inner


@hostile("link")
def one_dataset_twice(path: Path, truth: Path) -> None:
    write_good(path)
    with h5py.File(path, "a") as file:
        file["layers/again"] = file["X"]


@hostile("unreadable")
def member_of_a_family(path: Path, truth: Path) -> None:
    with h5py.File(path.parent / "part%d.h5", "w", driver="family", memb_size=4096) as file:
        write_names(file)
        file["X"] = values()
    (path.parent / "part0.h5").rename(path)


# larger than it looks


@hostile("too-large")
def terabytes_declared_in_chunks(path: Path, truth: Path) -> None:
    with bare_file(path) as file:
        file.create_dataset("X", (10**6, 10**6), np.float32, chunks=(1000, 1000), compression="gzip")


@hostile("too-large")
def gigabytes_declared_contiguous(path: Path, truth: Path) -> None:
    with bare_file(path) as file:
        file.create_dataset("X", (50_000, 100_000), np.float32)


@hostile("too-large")
def zeros_compressed(path: Path, truth: Path) -> None:
    with bare_file(path) as file:
        file.create_dataset(
            "X", data=np.zeros((5000, 4000), np.float32), compression="gzip", compression_opts=9
        )


@hostile("filter")
def gzip_three_times(path: Path, truth: Path) -> None:
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_chunk(SHAPE)
    for _ in range(3):
        plist.set_deflate(9)
    with bare_file(path) as file:
        dataset = h5d.create(file.id, b"X", h5t.IEEE_F32LE, h5s.create_simple(SHAPE), plist)
        dataset.write(h5s.ALL, h5s.ALL, values())


@hostile("filter")
def unknown_filter(path: Path, truth: Path) -> None:
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_chunk(SHAPE)
    plist.set_filter(32015, h5z.FLAG_OPTIONAL, (3,))
    with bare_file(path) as file:
        dataset = h5d.create(file.id, b"X", h5t.IEEE_F32LE, h5s.create_simple(SHAPE), plist)
        dataset.write(h5s.ALL, h5s.ALL, values())


@hostile("filter")
def one_enormous_chunk(path: Path, truth: Path) -> None:
    with bare_file(path) as file:
        file.create_dataset(
            "X", SHAPE, np.float32, chunks=(4096, 8192), maxshape=(None, None), compression="gzip"
        )
        file["X"][:] = values()


@hostile("too-large")
def a_billion_names(path: Path, truth: Path) -> None:
    with h5py.File(path, "w") as file:
        file["X"], file["var/_index"] = values(), np.array(GENES, "S8")
        file.create_dataset("obs/_index", (10**9,), h5py.string_dtype(), chunks=(10**6,))


@hostile("names")
def names_that_share_one_large_object(path: Path, truth: Path) -> None:
    with h5py.File(path, "w") as file:
        file["X"], file["var/_index"] = values(), np.array(GENES, "S8")
        names = np.array(["x" * (1 << 20), *ROWS[1:]], object)
        file.create_dataset("obs/_index", data=names, dtype=h5py.string_dtype())
        offset = file["obs/_index"].id.get_offset()
    with path.open("r+b") as stream:
        stream.seek(offset)
        reference = stream.read(16)
        stream.seek(offset)
        stream.write(reference * len(ROWS))


@hostile("names")
def one_name_of_a_megabyte(path: Path, truth: Path) -> None:
    with h5py.File(path, "w") as file:
        write_names(file, [*ROWS[:-1], "y" * (1 << 20)])
        file["X"] = values()


@hostile("structure")
def thousands_of_groups(path: Path, truth: Path) -> None:
    write_good(path)
    with h5py.File(path, "a") as file:
        for i in range(2500):
            file.create_group(f"uns/{i}")


@hostile("structure")
def nested_too_deeply(path: Path, truth: Path) -> None:
    write_good(path)
    with h5py.File(path, "a") as file:
        file.create_group("uns/" + "/".join("abcdefgh"))


@hostile("structure")
def an_object_with_a_long_name(path: Path, truth: Path) -> None:
    write_good(path)
    with h5py.File(path, "a") as file:
        file.create_group("n" * 4000)


@hostile("structure")
def a_committed_type(path: Path, truth: Path) -> None:
    write_good(path)
    with h5py.File(path, "a") as file:
        file["type"] = np.dtype("f4")


@hostile("incomplete")
def never_written(path: Path, truth: Path) -> None:
    with bare_file(path) as file:
        file.create_dataset("X", SHAPE, np.float32)


@hostile("incomplete")
def half_of_the_chunks(path: Path, truth: Path) -> None:
    with bare_file(path) as file:
        file.create_dataset("X", SHAPE, np.float32, chunks=(3, 8))
        file["X"][:9] = values()[:9]


def stored_as(chunk: bytes, mask: int = 0, **options: object) -> Builder:
    """One chunk of the whole matrix, stored as these bytes; HDF5 reads past the end of too few."""

    def build(path: Path, truth: Path) -> None:
        with bare_file(path) as file:
            dataset = file.create_dataset("X", SHAPE, np.float32, chunks=SHAPE, **options)
            dataset.id.write_direct_chunk((0, 0), chunk, filter_mask=mask)

    return build


WHOLE = values().tobytes()

family(
    "incomplete",
    "chunk",
    {
        "that_inflates_to_less": stored_as(zlib.compress(WHOLE[:100]), compression="gzip"),
        "that_inflates_to_more": stored_as(zlib.compress(WHOLE + b"more"), compression="gzip"),
        "that_inflates_to_much_more": stored_as(zlib.compress(bytes(16 << 20), 9), compression="gzip"),
        "that_is_cut_off": stored_as(zlib.compress(WHOLE)[:-20], compression="gzip"),
        "that_is_no_deflate": stored_as(b"nonsense" * 8, compression="gzip"),
        "said_not_to_be_compressed": stored_as(zlib.compress(WHOLE), mask=1, compression="gzip"),
        "of_only_a_checksum": stored_as(b"1234", compression="gzip", fletcher32=True),
        "shorter_than_its_checksum": stored_as(b"1", fletcher32=True),
    },
)


@hostile("filter")
def lzf_into_a_small_buffer(path: Path, truth: Path) -> None:
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_chunk(SHAPE)
    plist.set_filter(h5z.FILTER_LZF, h5z.FLAG_OPTIONAL, (4, 261, 8))
    with bare_file(path) as file:
        h5d.create(file.id, b"X", h5t.IEEE_F32LE, h5s.create_simple(SHAPE), plist).write_direct_chunk(
            (0, 0), b"\x00\x41"
        )
    content = bytearray(path.read_bytes())  # the filter corrects its parameters as it is set: put ours back
    at = content.index((261).to_bytes(4, "little")) + 4
    content[at : at + 4] = (8).to_bytes(4, "little")
    path.write_bytes(content)


def heap(at: int, value: bytes) -> Builder:
    """A good file whose heap of strings has other bytes ``at`` bytes after where its free space begins."""

    def build(path: Path, truth: Path) -> None:
        write_good(path)
        content = bytearray(path.read_bytes())
        start = content.index(b"GCOL")
        size = int.from_bytes(content[start + 8 : start + 16], "little")
        position = start + 16
        while int.from_bytes(content[position : position + 2], "little"):
            length = int.from_bytes(content[position + 8 : position + 16], "little")
            position += 16 + -(-length // 8) * 8
        assert position < start + size
        target = start if at < 0 else position
        content[target + abs(at) : target + abs(at) + len(value)] = value
        path.write_bytes(content)

    return build


family(
    "incomplete",
    "heap_of_strings",
    {
        "whose_free_space_has_no_size": heap(8, bytes(8)),  # HDF5 walks it for ever
        "whose_free_space_overflows": heap(8, b"\xff" * 8),
        "of_a_terabyte": heap(-8, (1 << 40).to_bytes(8, "little")),
        "of_another_version": heap(-4, b"\x07"),
    },
)


# wrong inside


def changed(name: str, at: int, value: int) -> Builder:
    def build(path: Path, truth: Path) -> None:
        array = csr_parts()[name].copy()
        array[at] = value
        write_csr(path, **{name: array})

    return build


family(
    "sparse",
    "csr",
    {
        "index_far_outside": changed("indices", 3, 10**8),
        "index_negative": changed("indices", 3, -1),
        "index_off_by_one": changed("indices", 3, SHAPE[1]),
        "indptr_jumps": changed("indptr", 2, 10**6),
        "indptr_ends_beyond": changed("indptr", -1, 10**6),
        "indptr_falls": changed("indptr", 5, 0),
        "indptr_starts_below_zero": changed("indptr", 0, -5),
        "fewer_data": lambda path, truth: write_csr(path, data=csr_parts()["data"][:-2]),
        "data_in_two_dimensions": lambda path, truth: write_csr(path, data=csr_parts()["data"][:, None]),
        "indptr_too_short": lambda path, truth: write_csr(path, indptr=csr_parts()["indptr"][:-1]),
        "is_csc": lambda path, truth: write_csr(path, indptr=np.zeros(SHAPE[1] + 1, np.int32)),
    },
)


@hostile("sparse")
def csr_entry_twice(path: Path, truth: Path) -> None:
    indptr = np.zeros(SHAPE[0] + 1, np.int64)
    indptr[1:] = 3
    write_csr(path, data=np.ones(3, np.float32), indices=np.array([5, 2, 5], np.int32), indptr=indptr)


@hostile("sparse")
def csr_row_longer_than_the_genes(path: Path, truth: Path) -> None:
    n = SHAPE[1] + 1
    indptr = np.full(SHAPE[0] + 1, n, np.int64)
    indptr[0] = 0
    write_csr(path, data=np.ones(n, np.float32), indices=np.arange(n, dtype=np.int32) % 8, indptr=indptr)


@hostile("structure")
def csr_without_indptr(path: Path, truth: Path) -> None:
    write_csr(path)
    with h5py.File(path, "a") as file:
        del file["X/indptr"]


@hostile("structure")
def csr_data_is_a_group(path: Path, truth: Path) -> None:
    write_csr(path)
    with h5py.File(path, "a") as file:
        del file["X/data"]
        file.create_group("X/data")


def typed(dtype: object) -> Builder:
    return lambda path, truth: write_good(path, X=values().astype(dtype))


def of_type(dtype: object) -> Builder:
    def build(path: Path, truth: Path) -> None:
        with bare_file(path) as file:
            file.create_dataset("X", SHAPE, dtype)

    return build


family(
    "dtype",
    "matrix_of",
    {
        **{t: typed(t) for t in ("float16", "int64", "uint8", "bool", "complex64", "longdouble", "S8")},
        "compounds": of_type(np.dtype([("a", "f4"), ("b", "f4")])),
        "object_references": of_type(h5py.ref_dtype),
        "region_references": of_type(h5py.regionref_dtype),
        "vlen_floats": of_type(h5py.vlen_dtype(np.float32)),
        "opaque": of_type(np.dtype("V4")),
        "arrays": of_type(np.dtype(("f4", (2,)))),
        "nulls": lambda path, truth: write_good(path, X=h5py.Empty("f4")),  # type: ignore[arg-type]
    },
)
family(
    "dtype",
    "csr_with",
    {
        "integer_data": lambda path, truth: write_csr(path, data=csr_parts()["data"].astype(np.int32)),
        "float_indices": lambda path, truth: write_csr(path, indices=csr_parts()["indices"].astype("f4")),
        "float_indptr": lambda path, truth: write_csr(path, indptr=csr_parts()["indptr"].astype("f8")),
    },
)


def holding(value: float, dtype: str = "f4") -> Builder:
    def build(path: Path, truth: Path) -> None:
        X = values().astype(dtype)
        X[4, 2] = value
        write_good(path, X=X)

    return build


family(
    "non-finite",
    "dense_with",
    {
        "nan": holding(np.nan),
        "inf": holding(np.inf),
        "minus_inf": holding(-np.inf),
        "1e300": holding(1e300, "f8"),
    },
)


@hostile("non-finite")
def csr_with_nan(path: Path, truth: Path) -> None:
    data = csr_parts()["data"].copy()
    data[7] = np.nan
    write_csr(path, data=data)


family(
    "shape",
    "matrix_is",
    {
        "a_scalar": lambda path, truth: write_good(path, X=np.array(1, np.float32)),
        "a_vector": lambda path, truth: write_good(path, X=values()[0]),
        "three_dimensional": lambda path, truth: write_good(path, X=values()[None]),
        "transposed": lambda path, truth: write_good(path, X=values().T),
        "a_row_short": lambda path, truth: write_good(path, X=values()[:-1]),
        "a_gene_short": lambda path, truth: write_good(path, X=values()[:, :-1]),
    },
)


def named(rows: list[str] = ROWS, genes: tuple[str, ...] = GENES) -> Builder:
    def build(path: Path, truth: Path) -> None:
        with h5py.File(path, "w") as file:
            write_names(file, rows, genes)
            file["X"] = np.ones((len(rows), len(genes)), np.float32)

    return build


family(
    "names",
    "rows",
    {
        "given_twice": named([ROWS[0], ROWS[0], *ROWS[2:]]),
        "in_another_order": named(ROWS[::-1]),
        "numbered_from_one": named([f"{r}/{c + 1}" for r in REQUESTS for c in range(N_CELLS)]),
        "empty": named([""] * len(ROWS)),
        "with_control_characters": named(["\x1b[31mred\n", *ROWS[1:]]),
        "with_bidi": named(["\u202eevil", *ROWS[1:]]),
        "not_requested_profiles": named([f"p{i}" for i in range(len(REQUESTS))]),
    },
)
family(
    "names",
    "genes",
    {"in_another_order": named(genes=GENES[::-1]), "given_twice": named(genes=(GENES[0], *GENES[:-1]))},
)
family(
    "shape",
    "names",
    {
        "of_one_row_too_many": named([*ROWS, "r6/0"]),
        "of_two_cells_each": named([f"{r}/{c}" for r in REQUESTS for c in range(2)]),
        "of_no_row": named([]),
        "of_one_gene_missing": named(genes=GENES[:-1]),
        "of_one_gene_more": named(genes=(*GENES, "EXTRA")),
    },
)


def index_of(array: object) -> Builder:
    def build(path: Path, truth: Path) -> None:
        with h5py.File(path, "w") as file:
            file["X"], file["var/_index"], file["obs/_index"] = values(), np.array(GENES, "S8"), array

    return build


family(
    "names",
    "index",
    {
        "of_integers": index_of(np.arange(len(ROWS))),
        "not_utf8": index_of(np.array([b"\xff\xfe", *(row.encode() for row in ROWS[1:])])),
    },
)
HOSTILE.append((index_of(np.array(ROWS, "S8")[:, None]), "shape"))
HOSTILE[-1][0].__name__ = "index_in_two_dimensions"


def lacking(*paths: str) -> Builder:
    def build(path: Path, truth: Path) -> None:
        write_good(path)
        with h5py.File(path, "a") as file:
            for name in paths:
                del file[name]

    return build


family(
    "structure",
    "no",
    {"X": lacking("X"), "obs": lacking("obs"), "var": lacking("var"), "index": lacking("obs/_index")},
)


@hostile("structure")
def index_under_its_own_name(path: Path, truth: Path) -> None:
    write_good(path)
    with h5py.File(path, "a") as file:
        file.move("obs/_index", "obs/request_id")


@hostile("structure")
def index_is_a_group(path: Path, truth: Path) -> None:
    write_good(path)
    with h5py.File(path, "a") as file:
        del file["obs/_index"]
        file["obs/_index/values"] = np.array(ROWS, "S8")


@hostile("structure")
def obs_is_a_dataset(path: Path, truth: Path) -> None:
    with h5py.File(path, "w") as file:
        file["obs"], file["var/_index"], file["X"] = np.zeros(3), np.array(GENES, "S8"), values()


def answering(flags: object) -> Builder:
    def build(path: Path, truth: Path) -> None:
        write_good(path)
        with h5py.File(path, "a") as file:
            file["obs/answered"] = flags

    return build


family(
    "answered",
    "answered",
    {
        "too_short": answering(np.ones(3, bool)),
        "as_float": answering(np.ones(SHAPE[0])),
        "as_text": answering(np.array([b"yes"] * SHAPE[0])),
        "twice": answering(np.full(SHAPE[0], 2, np.int8)),
    },
)


@hostile("structure")
def answered_is_a_group(path: Path, truth: Path) -> None:
    write_good(path)
    with h5py.File(path, "a") as file:
        file["obs/answered/values"] = np.ones(SHAPE[0], bool)


@hostile("scale")
def counts(path: Path, truth: Path) -> None:
    write_good(path, X=np.random.default_rng(0).integers(0, 900, SHAPE).astype(np.float32))


@hostile("scale")
def small_counts(path: Path, truth: Path) -> None:
    write_good(path, X=np.random.default_rng(0).integers(1, 9, SHAPE).astype(np.float32))


@hostile("scale")
def differences_from_control(path: Path, truth: Path) -> None:
    write_good(path, X=values() - 1)


@hostile("unreadable")
def empty_file(path: Path, truth: Path) -> None:
    path.write_bytes(b"")


@hostile("unreadable")
def text_file(path: Path, truth: Path) -> None:
    path.write_text("gene,value\nA,1\n")


@hostile("unreadable")
def pickle_file(path: Path, truth: Path) -> None:
    path.write_bytes(pickle.dumps({"X": values()}))


@hostile("unreadable")
def truncated_file(path: Path, truth: Path) -> None:
    write_good(path)
    path.write_bytes(path.read_bytes()[:-500])
