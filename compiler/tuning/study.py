"""Studies of optuna: the tree-structured Parzen estimator, seeded, asked trial by trial."""

from typing import Any


def begun(seed: int) -> Any:
    """Return a study that looks for the least: equal seeds ask for the same trials."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
