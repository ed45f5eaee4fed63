"""Who people are, and how much each may ask for.

names            which names there are, and which are the same (RFC 8266)
lookalikes       names that can be taken for one another (UTS 39)
unicode_tables   what of Unicode's files these need
tokens           who somebody is, signed (RFC 7519, RFC 8725)
token_keys       what they are signed with
token_terms      what the settings know of them
access           who is let in
limits           rates: per connection, person and address
address_digests  what is kept of addresses
"""
