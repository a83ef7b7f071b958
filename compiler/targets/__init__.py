"""Targets: the chips we compile for, as schema-checked TOML files."""

from cimc.targets.target import DEFAULT_TARGET, Target, built_in_names, load_target

__all__ = ["DEFAULT_TARGET", "Target", "built_in_names", "load_target"]
