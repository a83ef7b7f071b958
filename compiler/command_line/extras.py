"""Packages that come with an extra: a command that needs one says so before it begins."""

from importlib import import_module

from cimc.diagnostics import fail


def require_packages(user: str, extra: str, *names: str) -> None:
    """Raise CimcError CIM0004 unless every package can be imported."""
    for name in names:
        try:
            import_module(name)
        except ImportError:
            hint = f"pip install 'cimc[{extra}]'"
            raise fail("CIM0004", f"{user} needs {name}, which is not installed", hint=hint) from None
