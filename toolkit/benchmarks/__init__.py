"""The speed of this library beside the tools that a user would choose instead: `invoke bench`.

The models are those of the tests' project.
"""

import sys
from pathlib import Path

LIBRARY = Path(__file__).resolve().parent.parent
PROJECT = LIBRARY / "tests" / "project"
# First: another project that is installed in this environment may have a package `models`, too.
sys.path.insert(0, f"{PROJECT}")
