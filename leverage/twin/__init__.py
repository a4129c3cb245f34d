"""The exact twin of the contracts: integer Python that replays what they do, to the wei.

One class per contract, with the contract's names and the order of its steps: read beside contracts/*.sol it
is their executable specification. Who may call is left out, what comes of a call is all here: functions that
a caller matters to take it as `sender`, and whatever the contracts refuse raises a Revert of the same name.
"""
