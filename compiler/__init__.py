"""cimc compiles trained ONNX models into verified programs for analog compute-in-memory tiles."""

if __name__ != "cimc":
    raise ImportError(
        f"this folder was imported as `{__name__}`, which would make a second, unequal copy of every class; "
        "import it as `cimc` (run `make venv` once to install it)"
    )

__version__ = "0.1.0"
