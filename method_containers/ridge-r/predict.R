# ridge-r: every target has an effect on every gene; effects add up, shrunk towards none.

suppressPackageStartupMessages({
  library(jsonlite)
  library(Matrix)
  library(rhdf5)
})

folder <- function(name, default) Sys.getenv(name, unset = default)
INPUT <- folder("LANNER_INPUT", "/input")
OUTPUT <- folder("LANNER_OUTPUT", "/output")

main <- function() {
  task <- fromJSON(file.path(INPUT, "task.json"))
  train <- read_train(file.path(INPUT, "train.h5ad"), task)
  requests <- read.csv(file.path(INPUT, "requests.csv"), colClasses = "character", na.strings = NULL,
                       check.names = FALSE)
  requests$context <- joined(requests[task$columns$context])
  if (is.null(requests$dose)) requests$dose <- rep("", nrow(requests))
  predicted <- predict_profiles(task, train, requests)
  write_prediction(train$genes, requests$request_id, predicted$profiles, predicted$answered)
}

# The columns of `frame` as one label per row.
joined <- function(frame) do.call(paste, c(unname(as.list(frame)), sep = "|"))

# The training data: X as genes x rows (HDF5 is row-major, R column-major), labels as plain strings.
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
  list(
    X = X, genes = genes,
    perturbation = column(task$columns$perturbation),
    dose = if (is.null(task$columns$dose)) rep("", ncol(X)) else column(task$columns$dose),
    context = joined(lapply(task$columns$context, column))
  )
}

# The names of what was done: the parts of a combination, with the dose where there is one.
parts_of <- function(perturbation, dose, task) {
  names <- strsplit(perturbation, task$combination, fixed = TRUE)[[1]]
  if (nzchar(dose)) paste(names, dose, sep = "@") else names
}

predict_profiles <- function(task, train, requests) {
  is_control <- train$perturbation == task$control
  control <- means(train$X[, is_control, drop = FALSE], train$context[is_control])$means
  keys <- paste(train$perturbation, train$dose, train$context, sep = "\t")
  usable <- !is_control & train$context %in% colnames(control)
  if (!any(usable)) not_applicable("the training data hold no perturbed condition with control cells of its context")

  condition <- means(train$X[, usable, drop = FALSE], keys[usable])
  first <- match(colnames(condition$means), keys)
  parts <- Map(parts_of, train$perturbation[first], train$dose[first], list(task))
  known <- sort(unique(unlist(parts)), method = "radix")
  P <- vapply(parts, function(names) as.numeric(known %in% names), numeric(length(known)))
  P <- matrix(P, nrow = length(known))
  change <- condition$means - control[, train$context[first], drop = FALSE]

  # Weighted ridge, all genes at once: (P W P' + lambda I) beta = P W change'.
  ridge <- if (is.null(task$parameters$ridge)) 0.1 else task$parameters$ridge
  weight <- condition$sizes / mean(condition$sizes)
  weighted <- sweep(P, 2, weight, `*`)
  beta <- solve(tcrossprod(weighted, P) + ridge * diag(length(known)), weighted %*% t(change))

  profiles <- matrix(0, nrow = length(train$genes), ncol = nrow(requests))
  answered <- logical(nrow(requests))
  for (row in seq_len(nrow(requests))) {
    context <- requests$context[row]
    asked <- parts_of(requests$perturbation[row], requests$dose[row], task)
    missing <- setdiff(asked, known)
    if (!context %in% colnames(control)) missing <- "control cells"
    if (length(missing)) {
      message("unanswered: ", requests$perturbation[row], " in ", context, ": no ", paste(missing, collapse = ", no "))
    } else {
      answered[row] <- TRUE
      profiles[, row] <- control[, context] + colSums(beta[match(asked, known), , drop = FALSE])
    }
  }
  if (!any(answered)) not_applicable("no request's targets were all part of a training condition")
  list(profiles = profiles, answered = answered)
}

# Mean of the columns of X in each group (genes x groups, groups sorted bytewise), and the groups' sizes.
means <- function(X, groups) {
  levels <- sort(unique(groups), method = "radix")
  member <- sparseMatrix(i = seq_along(groups), j = match(groups, levels), x = 1, dims = c(length(groups), length(levels)))
  sizes <- colSums(member)
  sums <- as.matrix(X %*% member)
  list(means = matrix(sweep(sums, 2, sizes, `/`), nrow = nrow(X), dimnames = list(NULL, levels)), sizes = sizes)
}

not_applicable <- function(reason) {
  message(reason)
  quit(save = "no", status = 99)
}

# One float32 row per request, in order, over the training genes, in order.
write_prediction <- function(genes, request_ids, profiles, answered) {
  path <- file.path(OUTPUT, "prediction.h5ad")
  h5createFile(path)
  for (group in c("obs", "var")) h5createGroup(path, group)
  h5write(request_ids, path, "obs/_index")
  h5write(genes, path, "var/_index")
  h5createDataset(path, "X", dim(profiles), H5type = "H5T_IEEE_F32LE", chunk = c(nrow(profiles), 1), level = 0)
  h5write(profiles, path, "X")
  h5createDataset(path, "obs/answered", length(answered), H5type = "H5T_STD_I8LE", level = 0)
  h5write(as.integer(answered), path, "obs/answered")
}

main()
