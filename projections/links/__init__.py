"""The Link sessions: whose they are, and where each stands."""
