"""Who is here, in which rooms, and what they are told.

stays       what who is here asks for, coming and going included
coming      coming in
present     the members of this process, and their ends
arrival     where somebody who comes in, or back, takes up what was told
feed        from the log's tail to the members, with one call for all of a room
cast        the live members of one room
backlog     what a member that is not live is still to be told
recent      the last part of the tail
history     reading for those who ask for it
token_ends  whose token is over
unanswered  what the store is asked until it has answered
member      a connection's names, and what the chat needs of a connection
"""
