"""Published chips that are priced and never compiled for: geometry, times and prices of one macro each, as TOML."""
