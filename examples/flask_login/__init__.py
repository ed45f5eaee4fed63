"""An application with users of its own that lets them into the chat.

| file | what lives there |
|---|---|
| `app` | the Flask application: logins, and the way into the chat |
| `templates/` | its page |
"""
