"""`python -m likeness` is the command `likeness`."""

import sys

from likeness.command import main

sys.exit(main())
