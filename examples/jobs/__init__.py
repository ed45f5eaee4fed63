"""A job queue: people submit files, workers work on them.

| file | what lives there |
|---|---|
| `jobs` | the queue, and its jobs on disk; knows nothing of RPC |
| `desk` | what people and workers hold: the classes that are served |
| `app` | the Flask application: logins, and who gets what |
| `api` | the same classes for callers, written by `capnweb stubs` |
| `worker` | a program that counts words |
| `submit` | a program that submits a file, watches, and fetches the result |
"""
