"""The manual as code: written apart from `plan/` on purpose, so that equal results prove both."""
