"""One conversation with a peer: text goes in, text comes out.

import_table      what the peer exports to us: ids, reference counts, resolutions
import_hooks      what stands behind our stubs for it
export_table      what we export to the peer: ids, bounds, resolutions
plain_call        the most frequent calls, as one object each
messages          what each message that the peer sends does
batch_transport   collects messages until they are taken
lifecycle         changes that are made whole, and the end
unneeded          calls whose results nobody needs, and their releases
outgoing          what is sent: calls, answers, and the capabilities in them
incoming          what is received, and capabilities for the ids in it
session           all of that as one object, which applications hold
broadcast         one call to many sessions
"""
