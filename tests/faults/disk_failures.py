"""What `failing_disk` can be told to do. Apart from it, since that patches its process."""

READ_ONLY = "directory not writable, injected"
BEFORE_COMMIT = "commit fails, injected"
AFTER_COMMIT = "commit succeeds and fails, injected"
IN_THE_MIDDLE = "commit fails in the middle, injected"

FAILURES = (READ_ONLY, BEFORE_COMMIT, AFTER_COMMIT, IN_THE_MIDDLE)

VARIABLE = "CHAT_TEST_FAILURE"
"""Names the file that says what fails."""
