"""Who is in a room, and what they are told.

room     joining, speaking, leaving: the names of this process's connections, and the store
feed     from the log's tail to the members, with one call for all of them
member   a connection's names, and what the chat needs of a connection
"""
