"""`python -m capnweb_sync`: see `shell`."""

import sys

from .shell import main

if __name__ == "__main__":
    sys.exit(main())
