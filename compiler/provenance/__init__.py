"""Where every weight of a model lies: in the arrays, in constant memory, or nowhere, and the way back."""
