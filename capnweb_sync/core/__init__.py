"""Objects and who may reach them, without a wire: no I/O, no thread, no JSON.

From the bottom up, each file importing only those before it:

    late           what a lower file needs of a higher one, handed down at import
    targets        what of an application's object a peer can reach
    misuse         what makes no sense for an object that is elsewhere
    stubs          what applications hold: `RpcStub`, `RpcPromise`
    arguments      how the arguments of a call are checked
    budgets        what one message may make us copy
    payload        a value on its way, and who owns the stubs in it
    served_calls   where application code runs: in order, and bounded
    hooks          what stands behind a stub: the interface, and failures
    promise_hooks  what will stand behind one later, and what waits for it
    local_hooks    what stands behind a stub for something that is here
    lookup         results that need not be made when nobody waits for them
    served_call    one call of the application's code
"""

# Fills in what `late` has slots for.
from . import hooks, local_hooks, served_call

__all__ = ["hooks", "local_hooks", "served_call"]
