"""Settings for all tests: every graph is verified after each transform and pass, in child processes too."""

import os

os.environ.setdefault("FUNCGRAD_VERIFY", "1")
