"""What an operator can set: one table, from which come the options of the command line, the
`CHAT_…` variables of the environment, and the defaults.

A field `max_connections` of `Settings` is `--max-connections` on the command line,
`CHAT_MAX_CONNECTIONS` in the environment and `MAX_CONNECTIONS` in Flask's configuration. The
command line wins over the environment, the environment over the default.

| file | what lives there |
|---|---|
| `kinds` | what a setting is, and how its value is made of a string |
| `table` | `Settings`: all of them, with their defaults |
| `reading` | the environment, Flask's configuration, the command line |
"""

from chatserver.settings.kinds import MIB, network, text
from chatserver.settings.reading import (
    ENVIRONMENT_PREFIX,
    USAGE_STATUS,
    OneSentence,
    from_config,
    from_environment,
    parse_arguments,
)
from chatserver.settings.table import Settings

__all__ = [
    "ENVIRONMENT_PREFIX",
    "MIB",
    "USAGE_STATUS",
    "OneSentence",
    "Settings",
    "from_config",
    "from_environment",
    "network",
    "parse_arguments",
    "text",
]
