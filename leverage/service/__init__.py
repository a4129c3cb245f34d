"""The keeper as a service: a pass at every block, and what tells people how it goes.

`loop` passes, `measures` reads off the tokens what people want to know, `metrics`, `health`, `alerts` and
`status` tell it, and `start` puts them together.
"""
