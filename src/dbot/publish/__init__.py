"""Results that travel: bundles of some cells with all that proves them, where they are published, and how they are restored."""
