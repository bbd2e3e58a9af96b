"""Which of these tests look at Linux itself, and so can only run there?"""

from __future__ import annotations

import sys

collect_ignore = [] if sys.platform == "linux" else ["test_linux.py", "test_pin.py"]
