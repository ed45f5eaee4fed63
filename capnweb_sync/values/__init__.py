"""JavaScript's values in Python, and their JSON; nothing here knows of capabilities.

javascript   `undefined`, big integers, dates
fetch        the values of the Fetch API, and byte containers
digits       whole numbers of any size as decimal digits
json_text    JSON as JavaScript writes and reads it
"""
