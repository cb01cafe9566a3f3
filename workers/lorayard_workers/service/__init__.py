"""The worker on the bus: takes assignments, runs them on the engine, stores results, advertises itself."""
