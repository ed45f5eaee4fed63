"""For tools that still call it, and the description on PyPI; the rest stands in setup.cfg."""

import re
import sys
import warnings
from pathlib import Path

from setuptools import setup

if "bdist_wheel" in sys.argv and not Path("chatserver/web/modules").is_dir():
    warnings.warn(
        "a wheel without the chat's page; scripts/build_dist.sh makes one with it", stacklevel=1
    )

# The README without pictures and links that are files beside it: on PyPI there are none.
readme = Path("README.md").read_text(encoding="utf-8")
readme = re.sub(r"!\[[^]]*\]\((?!https?:)[^)]*\)\n*", "", readme)
readme = re.sub(r"\[([^]]+)\]\((?!https?:)[^)]*\)", r"\1", readme)

setup(long_description=readme, long_description_content_type="text/markdown")
