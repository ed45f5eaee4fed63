"""What a client can hold. Names of methods are those of the wire.

chat   `Chat`, the main object of every connection
"""
