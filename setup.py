"""Builds the compiled kernels, told which sources they are of; all else is in pyproject.toml."""

import runpy
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

KERNELS = Path(__file__).parent / "backends" / "kernels"


class Build(build_ext):
    """Builds always: the times of files do not say that a library lying there is of these sources."""

    def build_extension(self, ext: Extension) -> None:
        sources = runpy.run_path(str(KERNELS / "digest.py"))["digest"](KERNELS)
        ext.define_macros.append(("CIMC_SOURCES", f"{sources:#x}u"))
        self.force = True
        super().build_extension(ext)


setup(cmdclass={"build_ext": Build})
