"""The cost model held against published figures of chips, row by row; docs/cost-validation.md is what it prints."""
