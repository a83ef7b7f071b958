"""The IR: our xDSL dialects, types, locations and the weights beside them."""
