"""Which worker runs which job now: pure functions of values and a clock reading.

They import no bus, no model, no clock and no log (an import contract holds that), so the same code runs in
the dispatcher, in tests and in a simulator.
"""
