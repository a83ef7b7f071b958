"""The laws of noise: sources, profiles, addresses of draws; no executor."""
