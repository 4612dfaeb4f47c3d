# @NAME@: the mean of all training cells. Put your model into predict().
suppressPackageStartupMessages({library(jsonlite); library(Matrix); library(rhdf5)})
input <- Sys.getenv("LANNER_INPUT", "/input")
output <- Sys.getenv("LANNER_OUTPUT", "/output")

# Expression of every gene after request$perturbation; X is genes x cells.
predict_profile <- function(X, request, task) rowMeans(X)

# 1. Read what is asked: task.json, the training cells, and one row per prediction wanted.
task <- fromJSON(file.path(input, "task.json"))
requests <- read.csv(file.path(input, "requests.csv"), colClasses = "character", check.names = FALSE)
train <- file.path(input, "train.h5ad")
genes <- as.character(h5read(train, "var/_index"))
X <- h5read(train, "X")
if (is.list(X)) {
  pointers <- as.integer(X$indptr)
  X <- new("dgCMatrix", x = as.numeric(X$data), i = as.integer(X$indices), p = pointers,
           Dim = c(length(genes), length(pointers) - 1L))
}

# 2. Predict one profile for each request, on the scale of X.
profiles <- vapply(seq_len(nrow(requests)), function(i) predict_profile(X, requests[i, ], task), numeric(length(genes)))
profiles <- matrix(profiles, nrow = length(genes))

# 3. Write them in the order of the requests, over the training genes (HDF5 is row-major, R column-major).
file <- file.path(output, "prediction.h5ad")
h5createFile(file)
for (group in c("obs", "var")) h5createGroup(file, group)
h5write(requests$request_id, file, "obs/_index")
h5write(genes, file, "var/_index")
h5createDataset(file, "X", dim(profiles), H5type = "H5T_IEEE_F32LE", chunk = c(nrow(profiles), 1), level = 0)
h5write(profiles, file, "X")
