"""Noise profiles: one technology's device and converter statistics each, as schema-checked TOML files."""

from cimc.backends.noise.profiles.profile import Profile, built_in_names, load_profile, parse_profile, profile_text

__all__ = ["Profile", "built_in_names", "load_profile", "parse_profile", "profile_text"]
