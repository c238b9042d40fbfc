"""The one loop for everything that trains: its order, schedule, state, progress and distribution."""
