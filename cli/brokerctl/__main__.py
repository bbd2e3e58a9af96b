"""`python -m brokerctl` is `brokerctl`."""

import sys

from brokerctl.main import main

sys.exit(main())
