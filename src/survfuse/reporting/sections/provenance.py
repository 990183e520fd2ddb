"""Where a report comes from: versions, hashes and seeds."""

from __future__ import annotations

from survfuse import __version__
from survfuse.artifacts.layout import folds_in_words
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.reporting.inputs import RunData


def facts(config: Config, data: RunData) -> list[tuple[str, str]]:
    """Name and value of everything needed to repeat the run."""
    known = [
        ("Run", config.name),
        ("survfuse", __version__),
        ("Configuration (hash)", configuration_hash(config)),
        *variables(config),
        ("Splits (SHA-256)", data.evaluation["splits_sha256"]),
        ("Fitted models", str(len(data.fits))),
        *software(data),
        ("Seed of the splits", str(config.splits.seed)),
        ("Seed of the training", f"{config.training.seed}, {config.training.members} per fold"),
        ("Seed of the bootstrap", str(config.evaluation.seed)),
    ]
    if config.variables:
        known.append(("Environment variables in paths", ", ".join(config.variables)))
    if config.simulation is not None:
        known.append(("Seed of the simulation", str(config.simulation.seed)))
    return known


def configuration_hash(config: Config) -> str:
    """Short hash of the whole configuration and the version of survfuse."""
    return config.settings_hash(*type(config).model_fields)


def variables(config: Config) -> list[tuple[str, str]]:
    """Names of the environment variables that the configuration reads; their values stay away."""
    names = sorted(getattr(config, "variables", ()))
    return [("Environment variables read", ", ".join(names))] if names else []


def software(data: RunData) -> list[tuple[str, str]]:
    """Versions recorded when the models were fitted; several if they differ between fits."""
    found: dict[str, set[str]] = {}
    for fit in data.fits:
        for name, version in fit.get("software", {}).items():
            found.setdefault(name, set()).add(str(version))
        if fit.get("git_commit"):
            found.setdefault("git commit", set()).add(str(fit["git_commit"]))
    return [
        (f"{name} at training", ", ".join(sorted(versions)))
        for name, versions in sorted(found.items())
    ]


def check_same_splits(config: Config, data: RunData) -> None:
    """Raise UserInputError if a configured model was fitted on other splits than evaluated."""
    expected = data.evaluation["splits_sha256"]
    configured = {model.name for model in config.models}
    for fit in data.fits:
        name = fit.get("model", {}).get("name")
        if name in configured and fit.get("splits_sha256") != expected:
            raise UserInputError(
                f"model {name}, {folds_in_words([fit['fold']], fit['repeat'])}: fitted on other "
                "splits than the evaluation used; train and evaluate it again"
            )


def weights_hashes(data: RunData, model: str, folds: tuple[tuple[int, int], ...]) -> list[str]:
    """Short hashes of the weights that predicted a patient, one per repeat."""
    by_fold = {
        (fit.get("repeat"), fit.get("fold")): fit["weights_sha256"][:12]
        for fit in data.fits
        if fit.get("model", {}).get("name") == model and fit.get("weights_sha256")
    }
    return [by_fold[fold] for fold in folds if fold in by_fold]
