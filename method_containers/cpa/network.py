"""The package's network, losses and adversarial training (cpa-tools 0.8.8), on the contract's cells."""

from __future__ import annotations

import os
import warnings
from copy import deepcopy

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from modules import CPAModule, CPATrainingPlan
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, SequentialSampler

BATCH, BETWEEN, PATIENCE = 128, 10, 10  # the package's defaults, as are those of its network and plan
MOST_IN_FULL = 20_000  # cells: over more, the package makes fewer passes
MOST_VALIDATED = 2048  # cells, in one batch: the metric is one of neighbours among them


class Cells(Dataset):
    """Cells with their codes; an item is a batch, asked for by its rows."""

    def __init__(self, X, numbers, category):
        self.X = X
        self.tensors = tensors({**numbers, "cpa_category": category.reshape(-1, 1)})

    def __len__(self):
        return self.X.shape[0]

    def __getitem__(self, rows):
        return {"X": dense(self.X[rows]), **{key: values[rows] for key, values in self.tensors.items()}}

    def batches(self, size, *, shuffled):
        """Batches of ``size`` cells; what is left over in the end is dropped."""
        order = RandomSampler(self) if shuffled else SequentialSampler(self)
        return DataLoader(self, sampler=BatchSampler(order, size, drop_last=True), batch_size=None)


class Plan(CPATrainingPlan):
    """The package's plan; the ends of its epochs are called as Lightning 2 calls them."""

    training_epoch_end = validation_epoch_end = None  # Lightning 2 refuses a plan that has them

    def on_train_epoch_start(self):
        """Forget the pass before."""
        self.results = []

    def training_step(self, batch, batch_idx):
        """The package's step, its results kept."""
        self.results.append(super().training_step(batch, batch_idx))

    def on_train_epoch_end(self):
        """The package's end of a pass: history and rates of learning."""
        with warnings.catch_warnings(action="ignore"):  # means of terms that are switched off
            CPATrainingPlan.training_epoch_end(self, self.results)

    def on_validation_epoch_start(self):
        """Forget the validation before."""
        self.validated = []

    def validation_step(self, batch, batch_idx):
        """The package's step, its results kept."""
        with warnings.catch_warnings(action="ignore"):  # variance of a single cell
            self.validated.append(super().validation_step(batch, batch_idx))

    def on_validation_epoch_end(self):
        """The package's end of a validation: its metric."""
        with warnings.catch_warnings(action="ignore"):
            CPATrainingPlan.validation_epoch_end(self, self.validated)


class Best(Callback):
    """Keeps the weights of the best validation, as the package does on disk."""

    def __init__(self):
        self.value, self.weights = -np.inf, None

    def on_validation_end(self, trainer, pl_module):
        """Keep these weights if no others were better."""
        value = float(trainer.callback_metrics["cpa_metric"])
        if value > self.value:
            self.value, self.weights = value, deepcopy(pl_module.module.state_dict())


def trained(X, frame, codes, task, epochs):
    """The package's network in evaluation mode, at the best of its validations."""
    seed = int(os.environ.get("LANNER_SEED", task["seed"]))
    torch.set_num_threads(max(1, int(float(os.environ.get("LANNER_CPUS", 1)))))
    torch.use_deterministic_algorithms(True)
    network = CPAModule(
        n_genes=X.shape[1],
        n_perts=len(codes.parts),
        covars_encoder=codes.covariates,
        recon_loss="gauss",
        doser_type="logsigm" if "dose" in task["columns"] else "linear",
        seed=seed,
    )
    counts = frame["perturbation"].value_counts()
    plan = Plan(
        network,
        codes.covariates,
        n_adv_perts=len(codes.conditions),
        drug_weights=[float(len(frame) / counts[name] - 1) for name in codes.conditions],
    )
    fewer = round(epochs * min(1, MOST_IN_FULL / len(frame)))
    fit(plan, X, frame, codes, max(1, fewer), seed)
    return network.eval()


def fit(plan, X, frame, codes, epochs, seed):
    """Train on nine tenths of the cells, validate on the others; ends with the best weights."""
    order = np.random.default_rng(seed).permutation(len(frame))
    held, rest = order[: min(len(order) // 10, MOST_VALIDATED)], order[len(order) // 10 :]
    kinds = frame["perturbation"].str.cat(frame.filter(like="covariate_"), sep="_")
    kinds = kinds.astype("category").cat.codes.to_numpy(dtype=np.int64)
    training = Cells(X[rest], codes.of(frame.iloc[rest]), np.zeros(len(rest), dtype=np.int64))
    validation = Cells(X[held], codes.of(frame.iloc[held]), kinds[held])
    best = Best()
    patience = EarlyStopping("cpa_metric", mode="max", patience=PATIENCE, check_on_train_epoch_end=False)
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=[best, patience] if len(held) > 1 else [],
        check_val_every_n_epoch=BETWEEN,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=os.environ.get("HOME", "/tmp"),
    )
    trainer.fit(
        plan,
        training.batches(min(BATCH, len(training)), shuffled=True),
        validation.batches(len(validation), shuffled=False) if len(held) > 1 else None,
    )
    if best.weights is not None:
        plan.module.load_state_dict(best.weights)


def decoded(network, X, numbers):
    """What the network expects of cells ``X`` (cells, genes) under the codes: means (cells, genes)."""
    with torch.no_grad():
        return network.get_expression({"X": dense(X), **tensors(numbers)})["px"].numpy()


def tensors(arrays):
    """The arrays as tensors that share their memory."""
    return {key: torch.from_numpy(values) for key, values in arrays.items()}


def dense(block):
    """float32 tensor of a slice of X."""
    values = block.todense() if hasattr(block, "todense") else block
    return torch.from_numpy(np.asarray(values, dtype=np.float32))
