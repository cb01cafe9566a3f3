"""Engines behind one Protocol: the packed multi-LoRA engine, and an echo engine for bus tests."""
