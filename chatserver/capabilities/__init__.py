"""What a client can hold. Names of methods are those of the wire.

chat       `Chat`, the main object of every connection
person     `Person`, somebody who has logged in
room       `Room`, a person's seat in a room, and what of it is shared
moderator  `Moderator`, what one may do to others in one room
admin      `Admin`, everywhere
lists      lists that come in parts
"""
