"""`python -m callfleet_operator.main`."""

import sys

from callfleet_operator.main.command import main

sys.exit(main())
