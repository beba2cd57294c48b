"""`mintage rebuild` in small steps, so that a short log has many moments to be cut off at.

Arguments: positions a step, then the command's own.
"""

import sys
from functools import partial
from unittest.mock import patch

from api.cli import main
from projections.rebuild import Rebuild

if __name__ == "__main__":
    step, *arguments = sys.argv[1:]
    sys.argv[1:] = ["rebuild", *arguments]
    with patch("api.commands.rebuild.Rebuild", partial(Rebuild, step=int(step))):
        main()
