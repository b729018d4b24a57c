"""`python -m head2toe`: the command line."""

import sys

from head2toe.cli import main

sys.exit(main())
