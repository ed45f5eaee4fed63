"""How a process waits and runs things.

interface    what the core needs of the world: `Transport`, `Runtime`, `CallQueue`
threads      processes that block
greenlets    gevent's loop
"""
