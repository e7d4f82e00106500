"""`python -m deploy.cli VERB ...`, what ./ship starts."""

import sys

from deploy.cli.main import main

sys.exit(main(sys.argv[1:]))
