"""Multi-marginal Schrödinger bridge: one coupling per gap, a drift, refinement."""
