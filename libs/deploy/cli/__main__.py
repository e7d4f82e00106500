"""`python -m deploy.cli VERB ...`: the program that ./ship starts."""

import sys

from deploy.cli.main import main
from deploy.cli.output.redact import redact_output
from deploy.core.state.redaction import Redaction

redaction = Redaction()
redact_output(redaction)
sys.exit(main(sys.argv[1:], redaction))
