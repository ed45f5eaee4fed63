"""Against the reference implementation, the npm package `capnweb`, on Node.

Its side are the programs *.mjs of this folder.
"""
