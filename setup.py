"""Puts configs, tools and model-index.yml where mim looks for them: ``davpt_seg/.mim`` of the installed package.

All else stands in pyproject.toml. An editable install needs none of this: it finds them in the checkout.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
SUFFIXES = (".py", ".sh", ".yml", ".yaml", ".csv")


class BuildWithMim(build_py):
    """``build_py`` that also fills ``davpt_seg/.mim``."""

    def run(self) -> None:
        """Build the package, then copy what mim looks for; a build for an editable install has nothing to copy."""
        super().run()
        if not self.editable_mode:
            shutil.rmtree(self._mim(), ignore_errors=True)  # an earlier build's leavings would get into the wheel
            for source, target in self._mim_files().items():
                self.mkpath(str(target.parent))
                self.copy_file(str(source), str(target))

    def get_outputs(self, include_bytecode: bool = True) -> list:
        """List what was built; installers ask."""
        return super().get_outputs(include_bytecode) + [str(target) for target in self._mim_files().values()]

    def _mim(self) -> Path:
        return Path(self.build_lib) / "davpt_seg" / ".mim"

    def _mim_files(self) -> dict:
        sources = [ROOT / "model-index.yml"]
        for folder in ("configs", "tools"):
            sources += [path for path in sorted((ROOT / folder).rglob("*")) if path.suffix in SUFFIXES]
        return {source: self._mim() / source.relative_to(ROOT) for source in sources}


setup(cmdclass={"build_py": BuildWithMim})
