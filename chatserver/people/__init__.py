"""Who people are, and how much each may ask for.

names            which names there are, and which are the same (RFC 8266)
lookalikes       names that can be taken for one another (UTS 39)
unicode_tables   what of Unicode's files these need
limits           rates: per connection, person and address
"""
