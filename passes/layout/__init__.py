"""The pass `layout`: channels last everywhere, transposes moved, cancelled or absorbed."""
