"""Webhooks: events that are told to URLs, signed, retried and logged, by the Standard Webhooks specification.

    addresses    what URLs may be called, and which addresses behind them
    network      a connection to exactly the address that was checked, within one deadline
    sender       one attempt: a signed POST
    answers      what came of it
    signatures   secrets, and the headers of a signed message
    payloads     what a message says
    endpoints    who is told of what: the store of endpoints
    deliveries   the store of deliveries: what is due, what was tried, how it went
    schedule     when a delivery is tried again

Delivery is at least once: a receiver tells repetitions by `webhook-id`. Scripts that change a job write its deliveries
in the same step (`shared/lua/_webhooks.lua`). https://www.standardwebhooks.com
"""
