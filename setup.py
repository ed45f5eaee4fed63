"""For tools that still call it; everything else stands in setup.cfg."""

import sys
import warnings
from pathlib import Path

from setuptools import setup

if "bdist_wheel" in sys.argv and not Path("chatserver/web/modules").is_dir():
    warnings.warn(
        "a wheel without the chat's page; scripts/build_dist.sh makes one with it", stacklevel=1
    )

setup()
