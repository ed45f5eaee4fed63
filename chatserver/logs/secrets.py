"""What no log may have, at whichever level."""

import re
from typing import Final

SECRETS: Final = re.compile(r'("(?:token|resume)"\s*:\s*")[^"]*|[\w-]{8,}\.[\w-]{8,}\.[\w-]*')
"""Of what is on the wire: tokens wherever they stand, and what a membership is taken over with."""


def without_secrets(text: str) -> str:
    """A message of the wire as a log may have it."""
    return SECRETS.sub(lambda match: (match[1] or "") + "***", text)
