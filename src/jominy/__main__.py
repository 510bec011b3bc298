"""`python -m jominy` is `jominy`."""

import sys

from jominy.cli import main

sys.exit(main())
