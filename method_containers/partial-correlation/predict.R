# partial-correlation: genes are joined whose expression varies together when all other genes are held fixed.

suppressPackageStartupMessages({
  library(jsonlite)
  library(Matrix)
  library(rhdf5)
  library(corpcor)
})

folder <- function(name, default) Sys.getenv(name, unset = default)
INPUT <- folder("LANNER_INPUT", "/input")
OUTPUT <- folder("LANNER_OUTPUT", "/output")

main <- function() {
  task <- fromJSON(file.path(INPUT, "task.json"))
  train <- read_train(file.path(INPUT, "train.h5ad"), task)
  regulators <- read.csv(file.path(INPUT, "regulators.csv"), colClasses = "character", na.strings = NULL)$gene
  weights <- infer(task, train, regulators)
  write_network(train$genes, match(regulators, train$genes), weights, task$max_edges)
}

# The training data: X as genes x cells (HDF5 is row-major, R column-major), the contexts as plain strings.
read_train <- function(path, task) {
  genes <- as.character(h5read(path, "var/_index"))
  column <- function(name) {
    column <- h5read(path, paste0("obs/", name))
    as.character(column$categories)[as.integer(column$codes) + 1]
  }
  parts <- h5ls(path, recursive = FALSE)
  if (parts$otype[parts$name == "X"] == "H5I_GROUP") {
    X <- h5read(path, "X")
    pointers <- as.integer(X$indptr)
    X <- new("dgCMatrix", x = as.numeric(X$data), i = as.integer(X$indices), p = pointers,
             Dim = c(length(genes), length(pointers) - 1L))
  } else {
    X <- h5read(path, "X")
  }
  context <- do.call(paste, c(unname(lapply(task$columns$context, column)), sep = "|"))
  list(X = X, genes = genes, context = context)
}

# Shrunken partial correlations, regulators x genes, of expression centred within each context.
infer <- function(task, train, regulators) {
  seed <- as.numeric(folder("LANNER_SEED", task$seed))
  set.seed(seed %% 2147483647)
  most <- if (is.null(task$parameters$max_cells)) 10000 else task$parameters$max_cells
  cells <- sort(sample.int(ncol(train$X), min(ncol(train$X), most)))
  X <- t(as.matrix(train$X[, cells, drop = FALSE]))
  for (context in unique(train$context[cells])) {
    rows <- train$context[cells] == context
    X[rows, ] <- sweep(X[rows, , drop = FALSE], 2, colMeans(X[rows, , drop = FALSE]))
  }
  varies <- which(colSums(X^2) > 1e-18 * nrow(X))
  weights <- matrix(0, ncol(X), ncol(X))
  if (length(varies) > 1 && nrow(X) > 2) {
    weights[varies, varies] <- unclass(pcor.shrink(X[, varies], verbose = FALSE))[, ]
  }
  weights[match(regulators, train$genes), , drop = FALSE]
}

# The strongest edges of weights (regulators x genes) as varp/network, row-compressed, of a file without cells.
write_network <- function(genes, rows, weights, max_edges) {
  n <- length(genes)
  weights[cbind(seq_along(rows), rows)] <- 0 # no gene regulates itself
  rank <- integer(n)
  rank[order(genes, method = "radix")] <- seq_len(n) # equal weights in the order of names
  found <- which(weights != 0 & is.finite(weights), arr.ind = TRUE)
  values <- weights[found]
  regulator <- rows[found[, 1]]
  kept <- head(order(-abs(values), rank[regulator], rank[found[, 2]]), max_edges)
  kept <- kept[order(regulator[kept], found[kept, 2])]
  pointers <- c(0L, cumsum(tabulate(regulator[kept], n)))

  path <- file.path(OUTPUT, "prediction.h5ad")
  h5createFile(path)
  for (group in c("obs", "var", "varp", "varp/network")) h5createGroup(path, group)
  h5write(genes, path, "var/_index")
  h5createDataset(path, "varp/network/data", length(kept), H5type = "H5T_IEEE_F32LE", level = 0)
  h5write(values[kept], path, "varp/network/data")
  h5write(as.integer(found[kept, 2] - 1L), path, "varp/network/indices")
  h5write(as.integer(pointers), path, "varp/network/indptr")
  file <- H5Fopen(path)
  network <- H5Gopen(file, "varp/network")
  h5writeAttribute("csr_matrix", network, "encoding-type", asScalar = TRUE)
  h5writeAttribute("0.1.0", network, "encoding-version", asScalar = TRUE)
  h5writeAttribute(c(n, n), network, "shape")
  H5Gclose(network)
  H5Fclose(file)
}

main()
