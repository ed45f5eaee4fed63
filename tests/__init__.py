"""The tests, laid out as the packages are; interop/ talks to the reference implementation."""
